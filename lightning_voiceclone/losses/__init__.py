"""Losses: the adversarial games, and reconstruction."""
