"""Training: adversarial steps, losses, checks, callbacks and adaptation."""
