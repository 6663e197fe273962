"""Listening tests in a browser: what is compared, in which order, where answers go, and what they say."""
