"""A judge of voices by Gaussian mixtures, which shares nothing with the encoders that voices are trained with."""
