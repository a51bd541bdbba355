"""Which broker the operator chose."""

from typing import TypeAlias

from banyan.infra import databases
from banyan.infra.settings import Settings
from banyan.messaging.pgmq import PgmqBroker
from banyan.messaging.sqs import provisioning
from banyan.messaging.sqs.broker import SqsBroker
from banyan.messaging.sqs.client import Aws

OpenBroker: TypeAlias = PgmqBroker | SqsBroker


def broker(settings: Settings, role: str) -> OpenBroker:
    """The bus as a context, or the relay, may use it."""
    if settings.broker == "sns+sqs":
        return SqsBroker(provisioning.names_of(settings))
    return PgmqBroker(databases.bus_url(settings, role))


async def check(settings: Settings) -> None:
    """Raises Refusal where that broker can never be reached as this program was installed and started."""
    if settings.broker == "sns+sqs":
        aws = Aws()
        try:
            await aws.check()
        finally:
            await aws.close()
