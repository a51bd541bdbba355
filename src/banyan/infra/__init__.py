"""The outside world: settings, PostgreSQL, HTTP, child processes, logs."""
