"""Which stack to pick: the same conversations through every stack of a matrix, measured at the caller's ear."""
