"""What changes accounts and sessions: one method, one transaction, its events in the same one."""
