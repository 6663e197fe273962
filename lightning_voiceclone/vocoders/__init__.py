"""Vocoders: from features to a waveform."""
