"""A data folder from before the store had days: every event is found again, in its order."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from banyan.infra import migrations
from banyan.messaging import envelope, relay, republishing
from banyan.messaging.consumers import at_once
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.conftest import Postgres
from tests.messaging.waiting import until

_FIRST = ("0002_outbox", "0004_event_traceparent")
_THEN = "0005_event_store"
_ADD = "INSERT INTO event (id, type, key, data, at) VALUES ($1, 'banyan.learning.told.v1', $2, $3, $4)"


def sql(name: str) -> str:
    return (migrations.FOLDER / "learning" / f"{name}.sql").read_text(encoding="utf-8")


def id_of(at: datetime) -> UUID:
    """As `kit.ids` makes them."""
    value = int(at.timestamp() * 1000) << 80 | uuid4().int & (1 << 80) - 1
    return UUID(int=value & ~(0xF << 76) | 0x7 << 76)


async def test_events_of_several_days_and_with_random_ids_keep_their_rows_and_their_order(postgres: Postgres) -> None:
    now = datetime.now(UTC)
    told = [(id_of(now - timedelta(days=days, seconds=n)), days, n) for days in (400, 3, 1, 0) for n in (2, 1)]
    random = [(uuid4(), 2, 0) for _ in range(5)]
    connection = await asyncpg.connect(postgres.url(await postgres.make_database()))
    await connection.execute("\n".join(map(sql, _FIRST)))
    for event_id, days, n in [*random, *told][::-1]:
        await connection.execute(_ADD, event_id, f"k{days % 2}", '{"강의": 1}', now - timedelta(days=days, seconds=n))
    await connection.execute("INSERT INTO outbox (event_id) SELECT id FROM event")

    await connection.execute(sql(_THEN))

    rows = await connection.fetch(
        "SELECT id, at, position, tableoid::regclass::text AS day FROM event ORDER BY position"
    )
    assert {row["id"] for row in rows} == {event_id for event_id, _, _ in (*told, *random)}
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    kept_in = {row["id"]: row["day"] for row in rows}
    assert {kept_in[event_id] for event_id, _, _ in random} == {"event_stray"}
    for event_id, ago, n in told:
        assert kept_in[event_id] == f"event_{now - timedelta(days=ago, seconds=n):%Y%m%d}"
    assert await connection.fetchval("SELECT count(*) FROM outbox JOIN event ON id = event_id") == len(rows)
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute("DELETE FROM event")
    await connection.close()


async def test_a_database_that_was_not_brought_to_this_version_is_relayed_and_restored_all_the_same(
    postgres: Postgres,
) -> None:
    """An upgrade runs old services beside a new relay, and a backup may be older than the program that restores it."""
    now = datetime.now(UTC)
    url = postgres.url(await postgres.make_database())
    connection = await asyncpg.connect(url)
    await connection.execute(sql(_FIRST[0]))
    ids = [id_of(now - timedelta(seconds=n)) for n in (3, 2, 1)]
    for event_id in ids:
        await connection.execute(_ADD.replace("learning.told", "iam.account-erased"), event_id, "k", "{}", now)
    await connection.execute("INSERT INTO outbox (event_id) VALUES ($1)", ids[2])

    assert await republishing.republish(url, since=now - timedelta(hours=1)) == 3
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    async with relay.relaying({"iam": url}, broker, after=at_once):
        await until(lambda: empty(connection), 5)
        told = await broker.read("learning_from_iam", seats=9, hold=1)
        assert [envelope.decode(one.body).id for one in told[:1]] == [str(ids[0])]

        for name in (_FIRST[1], _THEN):
            await connection.execute(sql(name))
        await connection.execute("INSERT INTO outbox (event_id, consumer) VALUES ($1, 'learning-from-iam')", ids[1])
        await until(lambda: empty(connection), 10)
    assert (await broker.depth("learning_from_iam")).waiting == 4
    await connection.execute("INSERT INTO outbox (event_id, consumer) VALUES ($1, 'learning-from-iam')", ids[1])
    assert await republishing.republish(url, since=now + timedelta(hours=1)) == 1
    assert await connection.fetchval("SELECT consumer FROM outbox") == "learning-from-iam"
    await connection.close()


async def empty(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    return not await connection.fetchval("SELECT count(*) FROM outbox")


async def test_more_days_than_anybody_keeps_stray_and_a_migration_is_still_short(postgres: Postgres) -> None:
    now = datetime.now(UTC)
    connection = await asyncpg.connect(postgres.url(await postgres.make_database()))
    await connection.execute("\n".join(map(sql, _FIRST)))
    rows = [(id_of(now - timedelta(days=n)), "k", "{}", now - timedelta(days=n)) for n in range(130)]
    await connection.executemany(_ADD, rows)

    await connection.execute(sql(_THEN))

    assert await connection.fetchval("SELECT count(*) FROM event_stray") == 30
    assert await connection.fetchval("SELECT count(*) FROM event") == 130
    await connection.close()


async def test_whoever_might_read_the_outbox_may_still_relay_it(postgres: Postgres) -> None:
    """At a server that somebody else runs, the relay's role has a name of their choice."""
    name = f"carrier_{uuid4().hex[:8]}"
    connection = await asyncpg.connect(postgres.url(await postgres.make_database()))
    await connection.execute("\n".join(map(sql, _FIRST)))
    await connection.execute(
        f"CREATE ROLE {name}; GRANT SELECT ON event TO {name}; GRANT SELECT, DELETE ON outbox TO {name}"
    )

    await connection.execute(sql(_THEN))

    await connection.execute(f"SET ROLE {name}")
    assert await connection.fetchval("SELECT count(*) FROM event") == 0
    await connection.execute("INSERT INTO relay_rest (resting) VALUES (true)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("SELECT FROM archived_day")
    await connection.execute(f"RESET ROLE; DROP OWNED BY {name}; DROP ROLE {name}")
    await connection.close()
