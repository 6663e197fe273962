"""Speech recognisers for metrics, and the normalisation of texts."""
