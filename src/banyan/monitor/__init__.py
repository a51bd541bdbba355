"""Looking at the running system: figures, traces, logs, and whom to tell when something breaks."""
