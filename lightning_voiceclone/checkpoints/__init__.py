"""Models and parts on disk."""
