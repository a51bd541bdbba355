"""The `relay` process: keeps the bus, wherever that is, and carries what has happened from every outbox to it."""

import structlog

from banyan.infra import databases, http, migrations, postgres
from banyan.infra.preparation import Preparation
from banyan.infra.settings import Settings
from banyan.messaging import choosing, measuring, relay
from banyan.messaging.pgmq import PUBLISHER, PgmqBroker
from banyan.messaging.sqs import provisioning
from banyan.messaging.sqs.client import AwsForbids
from banyan.messaging.subscriptions import SUBSCRIPTIONS

log = structlog.get_logger()


async def run(settings: Settings) -> None:
    preparation = Preparation(lambda: prepare(settings))
    app = http.application("relay", [], settings=settings, checks=[preparation.check])
    listener = http.inherited_or_own_socket(settings, "relay")
    sources = {owner: databases.relay_url(settings, owner) for owner in relay.OWNERS}
    bus = choosing.publisher(settings, PUBLISHER)
    async with relay.relaying(sources, bus, after=preparation.check), measuring.measuring(bus, SUBSCRIPTIONS):
        await preparation.beside(http.serve(preparation.guard(app), listener))
    await bus.close()


async def prepare(settings: Settings) -> None:
    """Make the queues. In PostgreSQL as the owner of the bus, and only here: each role gets the right to its own."""
    if settings.broker == "sns+sqs":
        await _provision(settings)
        return
    database = postgres.database(settings, "bus", size=1)
    owner = PgmqBroker(databases.url(settings, "bus"), size=1)
    try:
        await migrations.migrate(database, "bus")
        await owner.declare(SUBSCRIPTIONS)
    finally:
        await database.close()
        await owner.close()


async def _provision(settings: Settings) -> None:
    try:
        for line in await provisioning.provision(settings):
            log.info("provisioned", step=line)
    except AwsForbids as fault:
        # As it should be where somebody else provisions. If nobody did, publishing says what is missing.
        log.warning("left topics and queues as they are", reason=str(fault))
