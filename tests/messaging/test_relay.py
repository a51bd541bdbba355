"""The relay's patience: what is away, hangs or is cut off costs a delay and no event."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from banyan.contracts.events import AccountErased
from banyan.infra import databases, migrations
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging import PgmqBroker, outbox, relay
from banyan.messaging.broker import LARGEST_BATCH
from banyan.messaging.consumers import at_once
from banyan.messaging.envelope import Envelope
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.subscriptions import SUBSCRIPTIONS, subscription_of
from tests.messaging.waiting import until

QUEUE = subscription_of("learning-from-iam").queue


async def tell(database: Database, key: str = "a", times: int = 1) -> None:
    async with database.transaction() as tx:
        for _ in range(times):
            await outbox.add(tx, AccountErased(account_id=key, at=datetime.now(UTC)))


async def empty(database: Database) -> bool:
    return not await database.fetchval("SELECT count(*) FROM outbox")


async def test_one_database_that_hangs_keeps_the_others_events_not_waiting(
    iam: Database, iam_url: str, bus: PgmqBroker
) -> None:
    await bus.declare(SUBSCRIPTIONS)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            done.set()

        done = asyncio.Event()

        hung = await asyncio.start_unix_server(say_nothing, Path(folder) / ".s.PGSQL.5432")
        sources = {"learning": f"postgresql://x@/x?host={folder}&port=5432", "iam": iam_url}
        async with relay.relaying(sources, bus, after=at_once):
            for _ in range(3):
                await tell(iam)
                await until(lambda: empty(iam), 4)
        async with asyncio.timeout(10):
            await done.wait()  # the relay has gone, and with it the connection that nobody answered
        hung.close()
        await hung.wait_closed()


async def test_sessions_that_are_cut_off_are_opened_again_and_nothing_is_lost(
    iam: Database, iam_url: str, bus: PgmqBroker, bus_url: str
) -> None:
    await bus.declare(SUBSCRIPTIONS)
    at_bus = Database(bus_url, size=1)
    async with relay.relaying({"iam": iam_url}, bus, after=at_once):
        for _ in range(3):
            await tell(iam, times=20)
            for database, name in ((iam, "banyan-relay"), (at_bus, "banyan")):
                await database.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = $1 AND pid <> pg_backend_pid()",
                    name,
                )
            await until(lambda: empty(iam), 30)
    assert await at_bus.fetchval(f"SELECT count(DISTINCT message->>'id') FROM pgmq.q_{QUEUE}") == 60
    await at_bus.close()


async def test_a_missed_notification_costs_half_a_second(iam: Database, iam_url: str) -> None:
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    async with iam.connection() as connection:
        await connection.execute("ALTER TABLE outbox DISABLE TRIGGER outbox_wakes_relay")
    async with relay.relaying({"iam": iam_url}, broker, after=at_once):
        await asyncio.sleep(0.3)
        await tell(iam)
        await until(lambda: empty(iam), 5)
    assert len(await broker.read(QUEUE, seats=9, hold=1)) == 1


async def test_a_long_outbox_goes_in_batches_that_fit_in_memory(iam: Database, iam_url: str) -> None:
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    await tell(iam, times=LARGEST_BATCH + 1)
    async with iam.transaction() as tx:
        await tx.execute(
            "WITH big AS (INSERT INTO event SELECT gen_random_uuid(), 'banyan.iam.account-erased.v1', 'b',"
            " jsonb_build_object('x', (SELECT string_agg(md5(n::text || g), '') FROM generate_series(1, 8000) AS n)),"
            " now() FROM generate_series(1, 40) g RETURNING id) INSERT INTO outbox (event_id) SELECT id FROM big"
        )
    session = relay.Session(iam_url, broker)
    await session.open()
    await session.become_the_only_one()
    moved = []
    while batch := await session.move():
        moved.append(batch)
    session.end()
    assert moved[0] == LARGEST_BATCH
    assert sum(moved) == LARGEST_BATCH + 41
    assert len(moved) > 3, "ten megabytes do not go at once"


async def test_what_is_for_one_consumer_goes_to_its_queue_alone_and_keeps_its_place(
    iam: Database, iam_url: str
) -> None:
    broker = Addressed()
    await tell(iam, "a", times=2)
    await iam.fetch(
        "UPDATE outbox SET consumer = 'learning-from-iam' WHERE position = (SELECT max(position) FROM outbox)"
    )
    await tell(iam, "b")
    await iam.fetch("INSERT INTO outbox (event_id, consumer) SELECT id, 'nobody-from-iam' FROM event WHERE key = 'b'")
    session = relay.Session(iam_url, broker)
    await session.open()
    await session.become_the_only_one()
    assert await session.move() == 4
    assert await session.move() == 0
    session.end()
    assert broker.told == [(None, ["a"]), (QUEUE, ["a"]), (None, ["b"])]


async def test_a_relay_that_works_wants_no_notifications_until_it_rests(
    iam: Database, iam_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_CLOSE_SECONDS", 5.0)  # however busy the machine is
    monkeypatch.setattr(relay, "_KEEPS_LOOKING_SECONDS", 1.0)
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    woken: list[object] = []
    async with iam.connection() as listener, relay.relaying({"iam": iam_url}, broker, after=at_once):
        await listener.add_listener("outbox", lambda *notice: woken.append(notice[3]))
        for _ in range(300):
            await tell(iam)
        assert 0 < len(woken) < 100, "while it works, commits do not notify"
        await until(lambda: rests(iam), 10)
        woken.clear()
        await tell(iam)
        async with asyncio.timeout(10):
            while not woken:
                await asyncio.sleep(0.01)
        await until(lambda: empty(iam), 10)
        await listener.reset()


async def test_one_that_rests_is_woken_by_a_commit(
    iam: Database, iam_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_POLL_SECONDS", 60.0)
    session = relay.Session(iam_url, MemoryBroker())
    await session.open()
    await session.become_the_only_one()
    resting = asyncio.create_task(session.wait())
    await tell(iam)
    await asyncio.wait_for(resting, 10)
    assert await session.move() == 1
    session.end()


async def test_a_relay_that_was_killed_at_work_leaves_nobody_unheard(iam: Database, iam_url: str) -> None:
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    await iam.fetch("INSERT INTO relay_rest (resting) VALUES (false)")
    async with relay.relaying({"iam": iam_url}, broker, after=at_once):
        await until(lambda: rests(iam), 10)
        await tell(iam)
        await until(lambda: empty(iam), 10)


async def test_a_batch_looks_into_the_days_of_its_events_and_no_others(iam: Database, iam_url: str) -> None:
    days = "SELECT make_event_day((now() AT TIME ZONE 'UTC')::date - n) FROM generate_series(1, 30) AS n"
    await iam.fetch(days)
    await tell(iam, times=3)
    before = await scans(iam)
    session = relay.Session(iam_url, MemoryBroker())
    await session.open()
    await session.become_the_only_one()
    assert await session.move() == 3
    session.end()
    async with asyncio.timeout(10):
        while len(after := {day for day, n in (await scans(iam)).items() if n != before.get(day)}) == 0:
            await asyncio.sleep(0.1)
    assert after <= {f"event_{datetime.now(UTC):%Y%m%d}", "event_stray"}


async def scans(database: Database) -> dict[str, int]:
    return {
        row["relname"]: row["n"]
        for row in await database.fetch(
            "SELECT relname, seq_scan + coalesce(idx_scan, 0) AS n FROM pg_stat_user_tables"
            " WHERE relname ~ '^event_[0-9s]'"
        )
    }


async def rests(database: Database) -> bool:
    return bool(await database.fetchval("SELECT resting FROM relay_rest"))


class Addressed(MemoryBroker):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str | None, list[str]]] = []

    async def publish(self, envelopes: Sequence[Envelope], *, queue: str | None = None) -> None:
        self.told.append((queue, [envelope.subject for envelope in envelopes]))


def test_where_a_server_is_elsewhere_its_urls_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path)})
    settings.make_folders()
    assert databases.relay_url(settings, "iam").startswith("postgresql://relay:")
    assert databases.bus_url(settings, "live").startswith("postgresql://live:")
    monkeypatch.setenv("BANYAN_RELAY_IAM_URL", "postgresql://r@db/iam")
    monkeypatch.setenv("BANYAN_BUS_DATABASE_URL", "postgresql://b@db/bus")
    assert databases.relay_url(settings, "iam") == "postgresql://r@db/iam"
    assert databases.bus_url(settings, "live") == "postgresql://b@db/bus"


def test_a_packaged_migration_is_taken_only_as_it_was_checked() -> None:
    [pgmq, *_] = migrations.numbered("bus")
    assert "CREATE FUNCTION pgmq.send_topic" not in pgmq[1]
    assert "pgmq.send_topic" in migrations.complete(pgmq[1])
    with pytest.raises(migrations.MigrationError, match="pinned"):
        migrations.complete(f"-- include pgmq/sql/pgmq.sql sha256 {'0' * 64}")
    with pytest.raises(migrations.MigrationError, match="not installed"):
        migrations.complete(f"-- include no_such_package_{uuid4().hex}/x.sql sha256 {'0' * 64}")
