"""Using a voice."""
