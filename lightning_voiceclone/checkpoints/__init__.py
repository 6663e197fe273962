"""Parts and voices on disk."""
