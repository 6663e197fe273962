"""What ``lvc plugins new`` writes: the example of each kind, and the package around it."""
