"""How services tell each other what has happened: outbox, relay, broker, consumers."""

from banyan.messaging.consumers import Consumer, consuming, on
from banyan.messaging.pgmq import PgmqBroker

__all__ = ["Consumer", "PgmqBroker", "consuming", "on"]
