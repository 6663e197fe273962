"""Helpers that do not depend on voice conversion."""
