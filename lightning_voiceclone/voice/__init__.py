"""The model: its parts, joined."""
