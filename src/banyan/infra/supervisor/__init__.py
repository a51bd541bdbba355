"""Starts child processes, waits for readiness, restarts what dies, and leaves none behind."""
