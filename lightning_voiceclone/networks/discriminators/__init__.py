"""Discriminators: judges of real against fake."""
