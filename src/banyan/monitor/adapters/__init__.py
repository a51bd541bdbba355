"""What monitor looks at, and whom it tells."""
