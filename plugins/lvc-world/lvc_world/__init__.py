"""The WORLD vocoder and its features for lightning-voiceclone."""
