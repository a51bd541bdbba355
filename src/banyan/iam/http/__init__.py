"""iam's faces: the API of accounts and sessions, what only other processes may ask, and the demo's mailbox."""
