"""Benchmarks and load tests: what is claimed of Bot4, measured. No part of the server."""
