"""A U-Net generator for lightning-voiceclone."""
