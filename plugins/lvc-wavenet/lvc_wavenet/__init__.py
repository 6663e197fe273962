"""The WaveNet vocoder for lightning-voiceclone."""
