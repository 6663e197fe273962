"""Training: the adversarial steps, and what goes round them."""
