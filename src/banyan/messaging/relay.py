"""From the outboxes to the broker: what a transaction has committed is published, later if not at once."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import asyncpg
import msgspec
import structlog

from banyan.contracts.monitor import Depth
from banyan.infra.postgres import CONNECT_TIMEOUT, Row
from banyan.infra.telemetry import tracing
from banyan.infra.telemetry.figures import LEDGER
from banyan.infra.telemetry.statements import observed
from banyan.kit.errors import Unavailable
from banyan.messaging import envelope
from banyan.messaging.broker import MOST_COUNTED, Broker
from banyan.messaging.envelope import Envelope
from banyan.messaging.subscriptions import Subscription

log = structlog.get_logger()

OWNERS = ("iam", "learning")  # the contexts that have an outbox

LARGEST_BATCH = 500
LARGEST_BATCH_BYTES = 4_000_000
_POLL_SECONDS = 0.5  # a notification can be missed
_STEP_SECONDS = 3.0
_LONGEST_PAUSE = 2.0
_LOOK_SECONDS = 2.0
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
    SELECT position AS place, event_id FROM outbox ORDER BY position LIMIT $1
), sized AS (
    SELECT place, event.*, sum(pg_column_size(data)) OVER (ORDER BY place) - pg_column_size(data) AS before
    FROM head JOIN event ON event.id = event_id
), gone AS (
    DELETE FROM outbox USING sized WHERE outbox.position = sized.place AND before < $2
    RETURNING sized.*
)
SELECT id, type, key, data::text, at, request_id, {traceparent} AS traceparent FROM gone ORDER BY place
"""

# A context that has not been brought to this version yet knows no traceparent.
_LOOK = """
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS counted) AS waiting,
    (SELECT extract(epoch FROM clock_timestamp() - at)::float8
     FROM outbox JOIN event ON id = event_id ORDER BY outbox.position LIMIT 1) AS oldest,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'event'::regclass AND attname = 'traceparent') AS traced
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
        session = Session(url, broker, source=source)
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
                if time.monotonic() > session.look_at:
                    await session.look()
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

    def __init__(self, url: str, broker: Broker, *, source: str = "") -> None:
        self.look_at = 0.0
        self._url = url
        self._broker = broker
        self._source = source
        self._take = _TAKE.format(traceparent="NULL")
        self._woken = asyncio.Event()
        self._connection: Connection | None = None

    async def open(self) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT + 2):
            self._connection = await asyncpg.connect(
                self._url,
                timeout=CONNECT_TIMEOUT,
                command_timeout=_STEP_SECONDS,
                server_settings=_SESSION,
                connection_class=observed(self._source or "outbox"),
            )
            await self._connection.add_listener("outbox", lambda *_: self._woken.set())

    async def become_the_only_one(self) -> None:
        """Two relays would publish the events of one key in any order."""
        while True:
            if await self._open.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                await self.look()
                return
            LEDGER.outboxes.pop(self._source, None)  # another relay knows
            await asyncio.sleep(_POLL_SECONDS)

    async def look(self) -> None:
        """Note how much waits. Between two batches, so that nothing waits for it but events that wait anyway."""
        row = await self._open.fetchrow(_LOOK, MOST_COUNTED)
        assert row is not None
        LEDGER.outboxes[self._source] = Depth(row["waiting"], max(0.0, row["oldest"] or 0.0))
        self._take = _TAKE.format(traceparent="traceparent" if row["traced"] else "NULL")
        self.look_at = time.monotonic() + _LOOK_SECONDS

    async def move(self) -> int:
        """Publish one batch and forget it; answers how many events that were."""
        self._woken.clear()
        async with asyncio.timeout(4 * _STEP_SECONDS):
            await self._open.execute("BEGIN")
            rows = await self._open.fetch(self._take, LARGEST_BATCH, LARGEST_BATCH_BYTES)
            if rows:
                async with asyncio.timeout(_STEP_SECONDS):
                    await self._publish([_envelope(row) for row in rows])
            await self._open.execute("COMMIT")
        if rows:
            LEDGER.publish(self._source, len(rows))
        return len(rows)

    async def _publish(self, envelopes: list[Envelope]) -> None:
        """With a span for each event that has a trace; one that is published again has another."""
        spans = tracing.of_events("publish", "producer", [(told.type, told.traceparent) for told in envelopes])
        envelopes = [
            told if span is None else msgspec.structs.replace(told, traceparent=tracing.traceparent_of(span))
            for told, span in zip(envelopes, spans, strict=True)
        ]
        with tracing.all_within(spans):
            await self._broker.publish(envelopes)

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
        traceparent=row["traceparent"],
    )


@asynccontextmanager
async def measuring(broker: Broker, subscriptions: Sequence[Subscription]) -> AsyncIterator[None]:
    """Note beside the block how much waits in the queues. Here and not where they are read, because a queue is
    longest where nobody reads it."""
    task = asyncio.create_task(_measure(broker, subscriptions))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _measure(broker: Broker, subscriptions: Sequence[Subscription]) -> None:
    while True:
        for subscription in subscriptions:
            try:
                LEDGER.queues[subscription.consumer] = await broker.depth(subscription.queue)
            except Exception:  # the bus is away, which others notice and say
                LEDGER.queues.pop(subscription.consumer, None)
        await asyncio.sleep(_LOOK_SECONDS)
