"""Which broker the operator chose."""

from typing import TypeAlias

from banyan.infra import databases
from banyan.infra.settings import Settings
from banyan.messaging.moving import Moving
from banyan.messaging.pgmq import PgmqBroker
from banyan.messaging.sqs import provisioning
from banyan.messaging.sqs.broker import SqsBroker
from banyan.messaging.sqs.client import Aws

OpenBroker: TypeAlias = PgmqBroker | SqsBroker | Moving


def broker(settings: Settings, role: str) -> OpenBroker:
    """The bus as a context may use it: with whatever waits in the one that was used before."""
    if settings.broker != "sns+sqs":
        return PgmqBroker(databases.bus_url(settings, role))
    new = SqsBroker(provisioning.names_of(settings))
    if not databases.has_bus(settings):
        return new
    return Moving(new, PgmqBroker(databases.bus_url(settings, role), size=2))


def publisher(settings: Settings, role: str) -> PgmqBroker | SqsBroker:
    """The bus as the relay may use it."""
    if settings.broker != "sns+sqs":
        return PgmqBroker(databases.bus_url(settings, role))
    return SqsBroker(provisioning.names_of(settings))


async def check(settings: Settings) -> None:
    """Raises Refusal where that broker can never be reached as this program was installed and started."""
    if settings.broker == "sns+sqs":
        aws = Aws()
        try:
            await aws.check()
        finally:
            await aws.close()
