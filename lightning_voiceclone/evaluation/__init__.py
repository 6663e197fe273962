"""Judging clones: measures over pairs, the report, its page."""
