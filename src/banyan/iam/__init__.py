"""Who is who: accounts, sessions, roles, and the keys that sign what the others believe."""
