"""Judges of words and voices: recognisers, and speaker encoders that come with their weights."""
