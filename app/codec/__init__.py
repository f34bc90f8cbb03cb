"""What leaves the house most often, written by kernels: the JSON of orders, many in one call."""
