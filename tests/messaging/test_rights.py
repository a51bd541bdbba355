"""What each database role may do on the bus and with an outbox, tried as that role."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from banyan.contracts.events import AccountErased
from banyan.infra import databases, embedded, migrations
from banyan.infra.databases import Server
from banyan.infra.postgres import Connection, Database
from banyan.infra.secrets import secret
from banyan.messaging import PgmqBroker, envelope, outbox, relay
from banyan.messaging.pgmq import PUBLISHER
from banyan.messaging.subscriptions import SUBSCRIPTIONS, subscription_of
from tests.messaging.waiting import event_tables

LEARNING = subscription_of("learning-from-iam").queue
LIVE = subscription_of("live-from-learning").queue
SERVER = Server("test", 5599, ("iam", "bus"))
ERASED = AccountErased(account_id="a", at=datetime(2026, 11, 24, tzinfo=UTC))


class Bus:
    """The real roles on the test server."""

    def __init__(self, postgres) -> None:
        self._settings = postgres.settings

    def url(self, database: str, role: str) -> str:
        password = secret(self._settings.secrets, f"postgres-{role}")
        return databases.embedded_url(self._settings, SERVER, database, role, password)

    @asynccontextmanager
    async def as_role(self, role: str, database: str = "bus") -> AsyncIterator[Connection]:
        connection = await asyncpg.connect(self.url(database, role))
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture
async def roles(postgres) -> Bus:
    await embedded.provide(postgres.settings, SERVER)
    bus = Bus(postgres)
    database, broker = Database(bus.url("bus", "bus"), size=1), PgmqBroker(bus.url("bus", "bus"), size=1)
    await migrations.migrate(database, "bus")
    await broker.declare(SUBSCRIPTIONS)
    await database.close()
    await broker.close()
    async with bus.as_role("iam", "iam") as owner:
        if not await owner.fetchval("SELECT to_regclass('outbox')"):
            await owner.execute(event_tables())
    return bus


async def test_the_relay_publishes_and_a_context_reads_its_own_queue(roles: Bus) -> None:
    publisher, reader = PgmqBroker(roles.url("bus", PUBLISHER)), PgmqBroker(roles.url("bus", "learning"))
    data = envelope.data_of(ERASED).decode()
    told = envelope.of_row(event_id=uuid4(), kind=ERASED.TYPE, key="a", data=data, at=ERASED.at, request_id=None)
    await publisher.publish([told])
    assert [(await role.depth(LEARNING)).waiting for role in (publisher, reader)] == [1, 1]
    [delivery] = await reader.read(LEARNING, seats=1, hold=5)
    await reader.extend(LEARNING, [delivery.receipt], hold=5)
    await reader.release(LEARNING, [delivery.receipt], after=0)
    await reader.delete(LEARNING, [delivery.receipt])
    assert await reader.read(LEARNING, seats=1, hold=5) == []
    await publisher.close()
    await reader.close()


@pytest.mark.parametrize(
    ("role", "forbidden"),
    [
        ("live", f"SELECT * FROM pgmq.q_{LEARNING}"),
        ("live", f"SELECT * FROM read_in_order('{LEARNING}', 1, 1)"),
        ("live", f"DELETE FROM pgmq.q_{LEARNING}"),
        ("learning", f"SELECT * FROM pgmq.q_{LIVE}"),
        ("learning", f"INSERT INTO pgmq.q_{LEARNING} (vt, message) VALUES (now(), '{{}}')"),
        ("learning", f"UPDATE pgmq.q_{LEARNING} SET message = '{{}}'"),
        ("learning", "SELECT pgmq.send_topic('banyan.iam.account-erased.v1', '{}')"),
        ("iam", f"SELECT * FROM pgmq.q_{LEARNING}"),
        ("relay", f"SELECT message FROM pgmq.q_{LEARNING}"),
        ("relay", f"DELETE FROM pgmq.q_{LEARNING}"),
        ("relay", f"SELECT pgmq.drop_queue('{LEARNING}')"),
        ("relay", "SELECT pgmq.bind_topic('#', 'x')"),
        ("learning", "CREATE TABLE mine (n integer)"),
    ],
)
async def test_no_role_on_the_bus_can_do_more(roles: Bus, role: str, forbidden: str) -> None:
    async with roles.as_role(role) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)


async def test_the_relay_takes_from_an_outbox_and_reaches_nothing_else_there(roles: Bus, bus: PgmqBroker) -> None:
    async with roles.as_role("iam", "iam") as owner:
        await owner.execute("CREATE TABLE IF NOT EXISTS account (password text)")
        async with owner.transaction():
            await outbox.add(owner, ERASED)
    session = relay.Session(roles.url("iam", PUBLISHER), bus)
    await session.open()
    await session.become_the_only_one()
    assert await session.move() == 1
    session.end()
    async with roles.as_role(PUBLISHER, "iam") as connection:
        for forbidden in (
            "SELECT * FROM account",
            "DELETE FROM event",
            "UPDATE event SET key = 'x'",
            "INSERT INTO outbox (event_id) VALUES (gen_random_uuid())",
            "UPDATE outbox SET event_id = gen_random_uuid()",
            "SELECT * FROM inbox",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
