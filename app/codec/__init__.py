"""Codec: kernels that write the most frequent output, the JSON of orders, many in one call."""
