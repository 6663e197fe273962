"""Recordings: reading, checking, cleaning and varying them."""
