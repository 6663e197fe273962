"""Generators: from a condition to features."""
