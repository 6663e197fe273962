"""Measures, as torchmetrics."""
