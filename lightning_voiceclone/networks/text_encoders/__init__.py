"""Text encoders: from tokens to scripts."""
