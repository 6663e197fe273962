"""Losses: adversarial, reconstruction and consistency."""
