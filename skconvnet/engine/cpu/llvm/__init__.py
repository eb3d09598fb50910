"""What Numba does not have: vectors of float32, the register tile, calls through addresses."""
