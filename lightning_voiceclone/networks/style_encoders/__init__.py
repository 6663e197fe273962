"""Style encoders: how something is said, as a vector."""
