"""Faults on purpose, for tests and demos. Without `--demo` no process loads what could make one."""
