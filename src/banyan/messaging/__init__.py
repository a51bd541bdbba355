"""How services tell each other what has happened: outbox, relay, broker, consumers."""
