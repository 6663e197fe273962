"""Feature extractors and feature transforms."""
