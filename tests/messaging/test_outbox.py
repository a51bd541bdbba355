"""The outbox: told exactly when the transaction commits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
import structlog

from banyan.contracts.events import AccountErased, AccountRegistered, PersonalData
from banyan.infra import migrations
from banyan.infra.postgres import Database
from banyan.messaging import envelope, outbox
from banyan.messaging.privacy import NotSealed
from tests.messaging.persons import seal_of

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ERASED = AccountErased(account_id="a1", at=NOW)


@pytest.fixture
async def database(learning_database: Database) -> AsyncIterator[Database]:
    await migrations.migrate(learning_database, "learning")
    return learning_database


async def count(database: Database) -> tuple[int, int]:
    events = await database.fetchval("SELECT count(*) FROM event")
    return events, await database.fetchval("SELECT count(*) FROM outbox")


async def test_an_event_is_stored_and_waits_when_its_transaction_has_committed(database: Database) -> None:
    event = AccountRegistered(account_id="a1", at=NOW, pii=PersonalData(name="김하늘", email="h@banyan.test"))
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        async with database.transaction() as tx:
            event_id = await outbox.add(tx, event, seal=seal_of(event))
    row = await database.fetchrow("SELECT event.* FROM outbox JOIN event ON event.id = event_id")
    assert row is not None
    assert (row["id"], row["type"], row["key"], row["request_id"]) == (event_id, event.TYPE, "a1", "r-1")
    assert '"person": "a1"' in row["data"]
    assert "김하늘" not in row["data"]
    assert "h@banyan.test" not in row["data"]


async def test_personal_data_are_never_written_as_they_are(database: Database) -> None:
    event = AccountRegistered(account_id="a1", at=NOW, pii=PersonalData(name="김하늘", email="h@banyan.test"))
    async with database.transaction() as tx:
        with pytest.raises(NotSealed, match="account-registered"):
            await outbox.add(tx, event)
        await outbox.add(tx, ERASED)
    assert await count(database) == (1, 1)


async def test_an_aborted_transaction_tells_nothing(database: Database) -> None:
    async def changes_its_mind() -> None:
        async with database.transaction() as tx:
            await outbox.add(tx, ERASED)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await changes_its_mind()
    assert await count(database) == (0, 0)


async def test_a_commit_wakes_who_listens_once_however_many_events_it_has(database: Database) -> None:
    woken: asyncio.Queue[str] = asyncio.Queue()
    async with database.connection() as listener:
        await listener.add_listener("outbox", lambda *notice: woken.put_nowait(str(notice[3])))
        async with database.transaction() as tx:
            for _ in range(3):
                await outbox.add(tx, ERASED)
        assert await asyncio.wait_for(woken.get(), 5) == ""
        await asyncio.sleep(0.05)
        assert woken.empty()
        await listener.reset()


async def test_an_event_that_is_too_large_is_refused_and_leaves_the_transaction_usable(database: Database) -> None:
    large = AccountRegistered(account_id="a1", at=NOW, pii=PersonalData(name="x" * envelope.LARGEST, email="e"))
    async with database.transaction() as tx:
        with pytest.raises(envelope.EventTooLarge):
            await outbox.add(tx, large, seal=seal_of(large))
        await outbox.add(tx, ERASED)
    assert await count(database) == (1, 1)


@pytest.mark.parametrize("change", ["UPDATE event SET key = 'x'", "DELETE FROM event", "TRUNCATE event"])
async def test_the_store_is_append_only(database: Database, change: str) -> None:
    async with database.transaction() as tx:
        await outbox.add(tx, ERASED)
    with pytest.raises(asyncpg.RestrictViolationError):
        await database.fetchval(change)


def test_the_contexts_have_the_same_tables_for_events() -> None:
    for name in ("0002_outbox", "????_event_traceparent", "????_event_store"):
        copies = sorted(migrations.FOLDER.glob(f"*/{name}.sql"))
        assert {copy.parent.name for copy in copies} >= {"iam", "learning", "live"}
        assert len({copy.read_text(encoding="utf-8") for copy in copies}) == 1
