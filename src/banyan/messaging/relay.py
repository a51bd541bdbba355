"""From the outboxes to the broker: what a transaction has committed is published, later if not at once."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import structlog

from banyan.infra.postgres import CONNECT_TIMEOUT, Row
from banyan.kit.errors import Unavailable
from banyan.messaging import envelope
from banyan.messaging.broker import Broker
from banyan.messaging.envelope import Envelope

log = structlog.get_logger()

OWNERS = ("iam", "learning")  # the contexts that have an outbox

LARGEST_BATCH = 500
LARGEST_BATCH_BYTES = 4_000_000
_POLL_SECONDS = 0.5  # a notification can be missed
_STEP_SECONDS = 3.0
_LONGEST_PAUSE = 2.0
_LOCK = 0x72656C6179  # "relay"

# A relay that hangs is put out by the server, and with its session go its lock and its open transaction: so another
# has taken over within 5 s. One that works asks every half second.
_SESSION = {
    "application_name": "banyan-relay",
    "statement_timeout": "3000",
    "lock_timeout": "3000",
    "idle_session_timeout": "4000",
    "idle_in_transaction_session_timeout": "4000",
    "timezone": "UTC",
}

# Always from the lowest position that is there now: positions are drawn before they are committed, so a lower one may
# appear after a higher one was published. Of one key they are committed in their order, because an operation changes
# the aggregate's row, and so holds its lock, before it adds the event. Rows are deleted first and published before
# the commit; if that fails they are still there.
_TAKE = """
WITH head AS (
    SELECT position, event_id FROM outbox ORDER BY position LIMIT $1
), sized AS (
    SELECT position, event.*, sum(pg_column_size(data)) OVER (ORDER BY position) - pg_column_size(data) AS before
    FROM head JOIN event ON event.id = event_id
), gone AS (
    DELETE FROM outbox USING sized WHERE outbox.position = sized.position AND before < $2
    RETURNING sized.*
)
SELECT id, type, key, data::text, at, request_id FROM gone ORDER BY position
"""

Connection: TypeAlias = "asyncpg.Connection[Row]"


@asynccontextmanager
async def relaying(
    sources: Mapping[str, str], broker: Broker, *, after: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """Relay from each source (a name and its URL) beside the block; one that is away or hangs keeps none waiting.

    Begins when `after` no longer raises Unavailable.
    """
    tasks = [asyncio.create_task(_relay(name, url, broker, after)) for name, url in sources.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _relay(source: str, url: str, broker: Broker, after: Callable[[], Awaitable[None]]) -> None:
    while True:
        with contextlib.suppress(Unavailable):
            await after()
            break
        await asyncio.sleep(0.1)
    failures = 0
    while True:
        session = Session(url, broker)
        try:
            await session.open()
            await session.become_the_only_one()
            while True:
                moved = await session.move()
                if failures:
                    log.info("relaying again", source=source)
                    failures = 0
                if not moved:
                    await session.wait()
        except Exception as fault:
            # Whatever it is, the events stay where they are, so trying again is always right.
            failures += 1
            if failures == 1 or failures % 30 == 0:
                log.warning("cannot relay just now", source=source, failures=failures, reason=repr(fault))
        finally:
            session.end()
        await asyncio.sleep(min(_LONGEST_PAUSE, 0.1 * 2 ** min(failures, 8)) * random.uniform(0.5, 1))  # noqa: S311 # jitter


class Session:
    """One connection to an outbox. It is ended, not repaired, at any fault: that rolls back and unlocks."""

    def __init__(self, url: str, broker: Broker) -> None:
        self._url = url
        self._broker = broker
        self._woken = asyncio.Event()
        self._connection: Connection | None = None

    async def open(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT + 2):
            self._connection = await asyncpg.connect(
                self._url, timeout=CONNECT_TIMEOUT, command_timeout=_STEP_SECONDS, server_settings=_SESSION
            )
            await self._connection.add_listener("outbox", lambda *_: self._woken.set())

    async def become_the_only_one(self) -> None:
        """Two relays would publish the events of one key in any order."""
        while True:
            if await self._open.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def move(self) -> int:
        """Publish one batch and forget it; answers how many events that were."""
        self._woken.clear()
        async with asyncio.timeout(4 * _STEP_SECONDS):
            await self._open.execute("BEGIN")
            rows = await self._open.fetch(_TAKE, LARGEST_BATCH, LARGEST_BATCH_BYTES)
            if rows:
                async with asyncio.timeout(_STEP_SECONDS):
                    await self._broker.publish([_envelope(row) for row in rows])
            await self._open.execute("COMMIT")
        return len(rows)

    async def wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), _POLL_SECONDS)

    def end(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("open() comes first")
        return self._connection


def _envelope(row: Row) -> Envelope:
    return envelope.of_row(
        event_id=row["id"],
        kind=row["type"],
        key=row["key"],
        data=row["data"],
        at=row["at"],
        request_id=row["request_id"],
    )
