"""The `relay` process: keeps the bus and carries what has happened from every outbox to it."""

from banyan.infra import databases, http, migrations, postgres
from banyan.infra.preparation import Preparation
from banyan.infra.settings import Settings
from banyan.messaging import choosing, measuring, relay
from banyan.messaging.pgmq import PUBLISHER, PgmqBroker
from banyan.messaging.subscriptions import SUBSCRIPTIONS


async def run(settings: Settings) -> None:
    preparation = Preparation(lambda: prepare(settings))
    app = http.application("relay", [], settings=settings, checks=[preparation.check])
    listener = http.inherited_or_own_socket(settings, "relay")
    sources = {owner: databases.relay_url(settings, owner) for owner in relay.OWNERS}
    bus = choosing.broker(settings, PUBLISHER)
    async with relay.relaying(sources, bus, after=preparation.check), measuring.measuring(bus, SUBSCRIPTIONS):
        await preparation.beside(http.serve(preparation.guard(app), listener))
    await bus.close()


async def prepare(settings: Settings) -> None:
    """As the owner of the bus, and only here: make the queues, and give each role the right to its own."""
    database = postgres.database(settings, "bus", size=1)
    owner = PgmqBroker(databases.url(settings, "bus"), size=1)
    try:
        await migrations.migrate(database, "bus")
        await owner.declare(SUBSCRIPTIONS)
    finally:
        await database.close()
        await owner.close()
