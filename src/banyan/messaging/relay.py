"""From the outboxes to the broker: what a transaction has committed is published, later if not at once."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import structlog

from banyan.contracts.monitor import Depth
from banyan.infra import repeating
from banyan.infra.postgres import CONNECT_TIMEOUT, Row
from banyan.infra.telemetry import tracing
from banyan.infra.telemetry.figures import LEDGER
from banyan.infra.telemetry.statements import observed
from banyan.messaging import envelope, subscriptions
from banyan.messaging.broker import LARGEST_BATCH, MOST_COUNTED, Broker
from banyan.messaging.envelope import Envelope

log = structlog.get_logger()

OWNERS = ("iam", "learning")  # the contexts that have an outbox

LARGEST_BATCH_BYTES = 4_000_000
_POLL_SECONDS = 0.5  # a notification can be missed
_STEP_SECONDS = 3.0
_ENOUGH_SECONDS = 0.4  # then the rest of a batch is another step; a broker may take 2.5 s for its part of it
_LONGEST_PAUSE = 2.0
_LOOK_SECONDS = 2.0
_LOCK = 0x72656C6179  # "relay"
_SMALL = 16_384
# While events come this close one after another, the relay looks by itself and wants no notification.
_CLOSE_SECONDS = 0.01
_KEEPS_LOOKING_SECONDS = 0.02
_GLANCE_SECONDS = 0.002

# A relay that hangs is put out by the server, and with its session go its lock and its open transaction: so another
# has taken over within 5 s. One that works asks every half second.
_SESSION = {
    "application_name": "banyan-relay",
    "statement_timeout": "3000",
    "lock_timeout": "3000",
    "idle_session_timeout": "4000",
    "idle_in_transaction_session_timeout": "4000",
    "timezone": "UTC",
    "plan_cache_mode": "force_custom_plan",
    "synchronous_commit": "off",  # what a crash forgets to be published is published again
}

# Always from the lowest position that is there now: positions are drawn before they are committed, so a lower one may
# appear after a higher one was published. Of one key they are committed in their order, because an operation changes
# the aggregate's row, and so holds its lock, before it adds the event. Rows go when they have been published.
_HEAD = "SELECT position, event_id, {consumer} AS consumer FROM outbox ORDER BY position LIMIT $1"

# By ids that the planner sees, so that it looks into their days and no others; a join would plan, lock and at times
# read all of them. What is large stays there until its turn comes.
_EVENTS = """
SELECT id, type, key, CASE WHEN octet_length(text) <= $2 THEN text END AS data, octet_length(text) AS bytes, at,
    request_id, {traceparent} AS traceparent
FROM (SELECT *, data::text AS text FROM event WHERE id = ANY($1) OFFSET 0) AS found
"""
_LARGE = "SELECT id, data::text FROM event WHERE id = ANY($1)"
_GONE = "DELETE FROM outbox WHERE position = ANY($1)"

# A context that has not been brought to this version yet knows less.
_LOOK = """
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS counted) AS waiting,
    (SELECT extract(epoch FROM clock_timestamp() - {since})::float8 FROM outbox ORDER BY position LIMIT 1) AS oldest,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'event'::regclass AND attname = 'traceparent') AS traced,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attname = 'consumer') AS addressed,
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'outbox'::regclass AND attname = 'since') AS timed,
    coalesce(has_table_privilege(to_regclass('relay_rest'), 'INSERT')
        AND has_table_privilege(to_regclass('relay_rest'), 'UPDATE'), false) AS rests
"""
_HAPPENED = "(SELECT at FROM event WHERE id = event_id)"
_REST = """
INSERT INTO relay_rest (resting) VALUES ($1) ON CONFLICT (only_one) DO UPDATE SET resting = excluded.resting
"""

Connection: TypeAlias = "asyncpg.Connection[Row]"


@asynccontextmanager
async def relaying(
    sources: Mapping[str, str], broker: Broker, *, after: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """Relay from each source (a name and its URL) beside the block; one that is away or hangs keeps none waiting.

    Begins when `after` no longer raises Unavailable.
    """
    async with repeating.beside(*(_relay(name, url, broker, after) for name, url in sources.items())):
        yield


async def _relay(source: str, url: str, broker: Broker, after: Callable[[], Awaitable[None]]) -> None:
    await repeating.until_possible(after)
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
    """One connection to an outbox. It is ended, not repaired, at any fault: that unlocks."""

    def __init__(self, url: str, broker: Broker, *, source: str = "") -> None:
        self.look_at = 0.0
        self._url = url
        self._broker = broker
        self._source = source
        self._look, self._head, self._events = _LOOK.format(since=_HAPPENED), "", ""
        self._woken = asyncio.Event()
        self._rests = False  # whether there is somebody who wants to know that it rests
        self._resting = True
        self._moved_at = 0.0
        self._patience = _POLL_SECONDS
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
                await self._rest(resting=True)
                return
            LEDGER.outboxes.pop(self._source, None)  # another relay knows
            await asyncio.sleep(_POLL_SECONDS)

    async def look(self) -> None:
        """Note how much waits. Between two batches, so that nothing waits for it but events that wait anyway."""
        row = await self._open.fetchrow(self._look, MOST_COUNTED)
        assert row is not None
        LEDGER.outboxes[self._source] = Depth(row["waiting"], max(0.0, row["oldest"] or 0.0))
        self._head = _HEAD.format(consumer="consumer" if row["addressed"] else "NULL::text")
        self._events = _EVENTS.format(traceparent="traceparent" if row["traced"] else "NULL")
        self._look = _LOOK.format(since="since" if row["timed"] else _HAPPENED)
        self._rests = row["rests"]
        self.look_at = time.monotonic() + _LOOK_SECONDS

    async def move(self) -> int:
        """Publish one batch and forget it; answers how many events that were."""
        self._woken.clear()
        async with asyncio.timeout(4 * _STEP_SECONDS):
            head = await self._open.fetch(self._head, min(LARGEST_BATCH, self._broker.largest_batch))
            if not head:
                return 0
            batch = await self._batch(head)
            async with asyncio.timeout(_STEP_SECONDS):
                batch = batch[: await self._publish(batch)]
            await self._open.execute(_GONE, [waiting["position"] for waiting, _ in batch])
            await self._note_moved()
        LEDGER.publish(self._source, len(batch))
        return len(batch)

    async def _batch(self, head: Sequence[Row]) -> list[tuple[Row, Envelope | None]]:
        """As much from the head on as fits, with the events themselves."""
        ids = [waiting["event_id"] for waiting in head]
        found = {row["id"]: row for row in await self._open.fetch(self._events, ids, _SMALL)}
        batch, large, size = list[Row](), list[UUID](), 0
        for waiting in head:
            event = found.get(waiting["event_id"])
            size += event["bytes"] if event is not None else 0
            if batch and size > LARGEST_BATCH_BYTES:
                break
            batch.append(waiting)
            if event is None:
                lost = str(waiting["event_id"])
                log.error("an event in the outbox is not in the store", source=self._source, event=lost)
            elif event["data"] is None:
                large.append(event["id"])
        texts = {row["id"]: row["data"] for row in await self._open.fetch(_LARGE, large)} if large else {}
        return [
            (waiting, _envelope(event, texts) if (event := found.get(waiting["event_id"])) is not None else None)
            for waiting in batch
        ]

    async def _publish(self, batch: Sequence[tuple[Row, Envelope | None]]) -> int:
        """In its order; what is for one consumer only goes to its queue alone. Answers how many there was time for."""
        done, enough = 0, time.monotonic() + _ENOUGH_SECONDS
        for consumer, part in itertools.groupby(batch, key=lambda one: one[0]["consumer"]):
            if done and time.monotonic() > enough:
                break
            same = list(part)
            done += len(same)
            envelopes = [told for _, told in same if told is not None]
            if not envelopes:
                continue
            if consumer is None:
                await self._tell(envelopes, queue=None)
                continue
            try:
                queue = subscriptions.subscription_of(consumer).queue
            except LookupError:
                log.warning("told nobody again", source=self._source, consumer=consumer, events=len(envelopes))
                continue
            await self._tell(envelopes, queue=queue)
        return done

    async def _tell(self, envelopes: list[Envelope], *, queue: str | None) -> None:
        """With a span for each event that has a trace; one that is published again has another."""
        spans = tracing.of_events("publish", "producer", [(told.type, told.traceparent) for told in envelopes])
        envelopes = [
            told if span is None else msgspec.structs.replace(told, traceparent=tracing.traceparent_of(span))
            for told, span in zip(envelopes, spans, strict=True)
        ]
        with tracing.all_within(spans):
            await self._broker.publish(envelopes, queue=queue)

    async def wait(self) -> None:
        """Until there may be something again."""
        if not self._resting:
            if time.monotonic() < self._moved_at + _KEEPS_LOOKING_SECONDS:
                await asyncio.sleep(_GLANCE_SECONDS)
                return
            await self._rest(resting=True)
            # Who read "it works" before that and commits after it wakes nobody, so it is looked a few times more.
            self._patience = _GLANCE_SECONDS
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), self._patience)
        self._patience = min(2 * self._patience, _POLL_SECONDS)

    async def _note_moved(self) -> None:
        before, self._moved_at = self._moved_at, time.monotonic()
        close = self._moved_at - before < _CLOSE_SECONDS
        if close and self._resting and self._rests:
            await self._rest(resting=False)

    async def _rest(self, *, resting: bool) -> None:
        self._resting = resting
        if self._rests:
            await self._open.execute(_REST, resting)

    def end(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("open() comes first")
        return self._connection


def _envelope(row: Row, texts: Mapping[UUID, str]) -> Envelope:
    return envelope.of_row(
        event_id=row["id"],
        kind=row["type"],
        key=row["key"],
        data=row["data"] if row["data"] is not None else texts[row["id"]],
        at=row["at"],
        request_id=row["request_id"],
        traceparent=row["traceparent"],
    )
