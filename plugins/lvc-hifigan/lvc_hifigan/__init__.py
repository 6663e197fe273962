"""The HiFi-GAN vocoder for lightning-voiceclone."""
