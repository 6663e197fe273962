"""Tacotron 2 for lightning-voiceclone."""
