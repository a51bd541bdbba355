"""One context's database: a pool that bounds every wait, and transactions that end before the answer is sent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from banyan.contracts.monitor import Pool
from banyan.infra import databases
from banyan.infra.settings import Settings
from banyan.infra.telemetry.figures import LEDGER
from banyan.infra.telemetry.statements import observed
from banyan.kit.errors import Unavailable

Row: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Row] | PoolConnectionProxy[Row]"

CONNECT_TIMEOUT = 3.0
ACQUIRE_TIMEOUT = 2.0
STATEMENT_TIMEOUT = 10.0


class DatabaseAway(Unavailable):
    """The database does not answer just now; try again in a moment. Nothing was changed."""


class Database:
    """A pool on one database. Every wait is bounded: a hung server costs a caller seconds, never a hang."""

    def __init__(self, url: str, *, size: int = 10, name: str = "") -> None:
        self.name = name or urlsplit(url).path.strip("/")
        self._url = url
        self._size = size
        self._waiting = 0
        self._pool: asyncpg.Pool[Row] | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit, for single statements. Raises DatabaseAway."""
        self._waiting += 1
        try:
            pool = await self._open()
            connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT)
        except LOST as fault:
            raise DatabaseAway from fault
        finally:
            self._waiting -= 1
        try:
            yield connection
        except _AWAY as fault:
            raise DatabaseAway from fault
        except asyncpg.PostgresError as fault:
            if getattr(fault, "severity_en", "") in _SESSION_IS_OVER:
                raise DatabaseAway from fault
            raise
        except (asyncpg.InterfaceError, asyncpg.InternalClientError) as fault:
            if _is_lost(connection, fault):  # the server ended the session between two statements
                raise DatabaseAway from fault
            raise
        finally:
            with contextlib.suppress(*LOST):  # what could not be given back has been closed; what was done is done
                await asyncio.shield(pool.release(connection, timeout=ACQUIRE_TIMEOUT))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction: committed when the block ends, rolled back when it raises. Raises DatabaseAway."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Row]:
        async with self.connection() as connection:
            return await connection.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: object) -> Row | None:
        async with self.connection() as connection:
            return await connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: object) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(sql, *arguments)

    async def ready(self) -> None:
        """Raises DatabaseAway unless the server answers."""
        await self.fetchval("SELECT 1")

    def fill(self) -> Pool:
        if self._pool is None:
            return Pool(0, self._size, self._waiting)
        return Pool(self._pool.get_size() - self._pool.get_idle_size(), self._size, self._waiting)

    async def close(self) -> None:
        LEDGER.pools.discard(self)
        if self._pool is not None:
            self._pool.terminate()

    async def _open(self) -> "asyncpg.Pool[Row]":
        async with self._opening:
            if self._pool is None:
                try:
                    self._pool = await asyncpg.create_pool(
                        self._url,
                        min_size=0,
                        max_size=self._size,
                        timeout=CONNECT_TIMEOUT,
                        command_timeout=STATEMENT_TIMEOUT,
                        reset=_leave_as_it_is,
                        connection_class=observed(self.name),
                        server_settings={
                            "application_name": "banyan",
                            # After ours: the server calls a commit that it tires of waiting for done, though its
                            # replica does not have it.
                            "statement_timeout": f"{int(STATEMENT_TIMEOUT * 1000) + 2000}",
                            "lock_timeout": "5000",
                            "idle_in_transaction_session_timeout": "15000",
                            "timezone": "UTC",
                        },
                    )
                except (OSError, *_AWAY) as fault:
                    raise DatabaseAway from fault
                LEDGER.pools.add(self)
            return self._pool


def _is_lost(connection: Connection, fault: Exception) -> bool:
    """Whether that is no mistake of ours but the end of the session, which the driver finds in many ways."""
    with contextlib.suppress(asyncpg.InterfaceError):  # the pool has taken it back already
        if isinstance(fault, asyncpg.InternalClientError):
            connection.terminate()
        return connection.is_closed()
    return True


async def _leave_as_it_is(_: Connection) -> None:
    """No reset query when a connection goes back to the pool: it is a round trip for every statement of ours.

    What it would undo does not outlive its block here: no SET but SET LOCAL, no LISTEN, no open
    cursors, and who takes a session lock gives it back. A transaction left open is rolled back by asyncpg itself.
    """


LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a connection raises that cannot be made, or has been lost."""

_SESSION_IS_OVER = ("FATAL", "PANIC")  # whatever for: a log that cannot be written has no error code of its own
_AWAY = (
    ConnectionError,  # not every OSError: the caller's own files may be what failed
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # connections, memory or disk
    asyncpg.QueryCanceledError,
    asyncpg.LockNotAvailableError,  # so many wait for one row that the last of them should come again
    asyncpg.ConnectionDoesNotExistError,
)


def database(settings: Settings, context: str, *, size: int = 10) -> Database:
    """The database of a context: the embedded one, or the one at `BANYAN_<CONTEXT>_DATABASE_URL`."""
    return Database(databases.url(settings, context), size=size, name=context)
