"""What monitor makes of what it sees: rates, pictures, traces, log lines, rules and incidents. No I/O, no clock."""
