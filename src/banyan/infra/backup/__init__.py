"""Backups: what is in one, how it is written so that a half one never counts, and how it is checked before use."""
