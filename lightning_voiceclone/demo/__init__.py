"""The demonstration: a synthetic corpus, a few minutes of training, a clone, and a page that plays it."""
