"""Converting recordings with a model."""
