"""What monitor does: look, and tell."""
