"""Sessions that the server ends, at any moment: a caller hears that the database is away, and nothing of the driver."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from banyan.infra.postgres import Database, DatabaseAway

MINE = "SELECT pg_backend_pid()"
OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
ROUNDS = 150


@asynccontextmanager
async def another(database: Database) -> AsyncIterator[Database]:
    """A second pool on the same database, of one connection."""
    other = Database(database._url, size=1)
    try:
        yield other
    finally:
        await other.close()


async def test_a_session_ended_between_two_statements_is_a_database_away(gateway_database: Database) -> None:
    async with another(gateway_database) as other:

        async def interrupted() -> None:
            async with gateway_database.transaction() as transaction:
                await transaction.fetchval(MINE)
                await other.fetch(OTHERS)
                await asyncio.sleep(0.05)
                await transaction.fetchval(MINE)

        with pytest.raises(DatabaseAway):
            await interrupted()
        assert await gateway_database.fetchval("SELECT 1") == 1


async def test_whenever_a_session_is_ended_it_is_a_database_away(gateway_database: Database) -> None:
    over = asyncio.Event()

    async def terminate() -> None:
        async with another(gateway_database) as other:
            while not over.is_set():
                await other.fetch(OTHERS)
                await asyncio.sleep(0.003)

    async def ask() -> int:
        answered = 0
        for _ in range(ROUNDS):
            with contextlib.suppress(DatabaseAway):
                async with gateway_database.transaction() as transaction:
                    await transaction.fetchval(MINE)
                    answered += await transaction.fetchval("SELECT 1")
        return answered

    terminating = asyncio.create_task(terminate())
    await asyncio.gather(*(ask() for _ in range(4)))
    over.set()
    await terminating

    assert await gateway_database.fetchval("SELECT 1") == 1
