"""A speaker encoder by Gaussian mixtures, for evaluation: it shares nothing with the encoders used in training."""
