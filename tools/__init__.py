"""What `make check` and `make fresh` run beside the well-known tools."""
