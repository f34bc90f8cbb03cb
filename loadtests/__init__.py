"""Benchmarks and load tests: the claims made for Bot4, measured. Not part of the server."""
