"""Engine: the deterministic core: commands in, events out; NumPy and numba alone."""
