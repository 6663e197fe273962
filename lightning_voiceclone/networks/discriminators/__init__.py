"""Discriminators: classifiers of real against fake."""
