"""Networks that ship with the project: encoders, generators and discriminators."""
