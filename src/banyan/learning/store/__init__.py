"""Rows of learning. Times and ids are the caller's; every function runs inside the caller's transaction."""
