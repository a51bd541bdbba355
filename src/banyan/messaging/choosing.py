"""Which broker the operator chose."""

from banyan.infra import databases
from banyan.infra.settings import Settings
from banyan.messaging.pgmq import PgmqBroker


def broker(settings: Settings, role: str) -> PgmqBroker:
    """The bus as a context, or the relay, may use it."""
    return PgmqBroker(databases.bus_url(settings, role))
