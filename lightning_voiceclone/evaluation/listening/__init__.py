"""Listening tests in a browser: conditions, order of trials, storage of answers, and statistics."""
