"""What a part is."""
