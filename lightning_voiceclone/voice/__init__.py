"""Parts joined."""
