"""PGMQ on the database `bus`: topics to queues, in PostgreSQL and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import structlog

from banyan.contracts.monitor import Depth
from banyan.infra.postgres import CONNECT_TIMEOUT, Connection, Database
from banyan.messaging import envelope
from banyan.messaging.broker import LARGEST_BATCH, MOST_COUNTED, Delivery, Feature, Receipt
from banyan.messaging.envelope import Envelope
from banyan.messaging.subscriptions import Subscription

log = structlog.get_logger()

PUBLISHER = "relay"
_RECONNECT_SECONDS = 1.0
_ALIVE_SECONDS = 10.0

# Each queue gets its events in one statement and in their order. Not `send_batch_topic`: it takes one type at a time
# and would put the events of one key in the order of their types. The wake-up is ours, because PGMQ's own is either
# a row lock for each event or leaves out some.
_PUBLISH = """
WITH told AS (
    SELECT * FROM unnest($1::text[], $2::jsonb[], $3::jsonb[]) WITH ORDINALITY AS told (type, message, headers, place)
), routed AS (
    SELECT queue_name, array_agg(message ORDER BY place) AS messages, array_agg(headers ORDER BY place) AS headers
    FROM told JOIN (SELECT DISTINCT queue_name, compiled_regex FROM pgmq.topic_bindings) AS binding
        ON type ~ compiled_regex AND queue_name = coalesce($4, queue_name)
    GROUP BY queue_name
), sent AS (
    SELECT queue_name, count(*) AS messages
    FROM routed, pgmq.send_batch(queue_name, routed.messages, routed.headers)
    GROUP BY queue_name ORDER BY queue_name
)
SELECT pg_notify('bus.' || queue_name, '') FROM sent
"""

_READ = "SELECT receipt, key, attempts, message::text FROM read_in_order($1, $2, $3)"
_HOLD = "SELECT count(*) FROM pgmq.set_vt($1, $2::bigint[], clock_timestamp() + make_interval(secs => $3))"
_DEPTH = """
SELECT (SELECT count(*) FROM (SELECT FROM pgmq."q_{queue}" LIMIT {most}) AS counted) AS waiting,
    (SELECT extract(epoch FROM clock_timestamp() - enqueued_at)::float8
     FROM pgmq."q_{queue}" ORDER BY msg_id LIMIT 1) AS oldest
"""
_BURY = """
WITH gone AS (
    DELETE FROM pgmq."q_{queue}" WHERE msg_id = ANY($1)
    RETURNING msg_id, read_ct, enqueued_at, vt, message, headers, last_read_at
)
INSERT INTO pgmq."a_{queue}" (msg_id, read_ct, enqueued_at, vt, message, headers, last_read_at)
SELECT msg_id, read_ct, enqueued_at, vt, message, headers || jsonb_build_object('reason', $2::text), last_read_at
FROM gone
"""
_DELETE = "SELECT count(*) FROM pgmq.delete($1, $2::bigint[])"


class PgmqBroker:
    features = frozenset(
        {
            Feature.ORDER_BY_KEY,
            Feature.DURABLE,
            Feature.RIGHTS,
            Feature.LISTENING,
            Feature.ARCHIVE,
            Feature.AGE,
        }
    )
    largest_batch = LARGEST_BATCH

    def __init__(self, url: str, *, size: int = 4) -> None:
        self._url = url
        self._bus = Database(url, size=size, name="bus")

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        """As the owner of `bus`. Roles that this server does not know get no rights: there, an operator gives them."""
        async with self._bus.transaction() as tx:
            await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('declare', 0))")
            known = {row["rolname"] for row in await tx.fetch("SELECT rolname FROM pg_roles")}
            wanted = {(topic, subscription.queue) for subscription in subscriptions for topic in subscription.topics}
            for subscription in subscriptions:
                await tx.execute("SELECT pgmq.create($1)", subscription.queue)
                await _tune(tx, subscription.queue)
                await _grant(tx, subscription, known)
            bound = {tuple(row) for row in await tx.fetch("SELECT pattern, queue_name FROM pgmq.topic_bindings")}
            for topic, queue in sorted(bound - wanted):
                await tx.execute("SELECT pgmq.unbind_topic($1, $2)", topic, queue)
            for topic, queue in sorted(wanted - bound):
                await tx.execute("SELECT pgmq.bind_topic($1, $2)", topic, queue)

    async def publish(self, envelopes: Sequence[Envelope], *, queue: str | None = None) -> None:
        types = [told.type for told in envelopes]
        messages = [envelope.encode(told).decode() for told in envelopes]
        headers = [msgspec.json.encode({"x-pgmq-group": told.subject}).decode() for told in envelopes]
        await self._bus.fetch(_PUBLISH, types, messages, headers, queue)

    async def read(self, queue: str, *, seats: int, hold: float, wait: float = 0.0) -> list[Delivery]:
        rows = await self._bus.fetch(_READ, queue, seats, hold)
        return [Delivery(row["receipt"], row["key"], row["attempts"], row["message"].encode()) for row in rows]

    async def extend(self, queue: str, receipts: Sequence[Receipt], *, hold: float) -> None:
        await self._bus.fetchval(_HOLD, queue, receipts, hold)

    async def release(self, queue: str, receipts: Sequence[Receipt], *, after: float) -> None:
        await self._bus.fetchval(_HOLD, queue, receipts, after)

    async def delete(self, queue: str, receipts: Sequence[Receipt]) -> None:
        await self._bus.fetchval(_DELETE, queue, receipts)

    async def bury(self, queue: str, receipts: Sequence[Receipt], *, reason: str) -> None:
        await self._bus.fetch(_BURY.format(queue=queue), receipts, reason)

    async def given_up(self, queue: str, *, seats: int, hold: float) -> list[Delivery]:
        return []

    async def depth(self, queue: str) -> Depth:
        row = await self._bus.fetchrow(_DEPTH.format(queue=queue, most=MOST_COUNTED))
        return Depth(row["waiting"], max(0.0, row["oldest"] or 0.0)) if row is not None else Depth(0)

    @asynccontextmanager
    async def listening(self, queue: str) -> AsyncIterator[asyncio.Event]:
        signal = asyncio.Event()
        listener = asyncio.create_task(self._listen(queue, signal))
        try:
            yield signal
        finally:
            # wait_for of Python 3.11 can swallow a cancellation that meets the failure it waits for.
            while not listener.done():
                listener.cancel()
                await asyncio.wait([listener], timeout=0.1)

    async def close(self) -> None:
        await self._bus.close()

    async def _listen(self, queue: str, signal: asyncio.Event) -> None:
        while True:
            try:
                connection = await asyncio.wait_for(asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT), 5)
                try:
                    await connection.add_listener(f"bus.{queue}", lambda *_: signal.set())
                    signal.set()
                    while True:
                        await asyncio.sleep(_ALIVE_SECONDS)
                        await connection.fetchval("SELECT 1", timeout=CONNECT_TIMEOUT)
                finally:
                    connection.terminate()
            except Exception as fault:  # whatever it is, who listens no more would be slow for good
                # Whoever reads notices the same, and says so.
                log.debug("not listening to the bus", queue=queue, reason=repr(fault))
            await asyncio.sleep(_RECONNECT_SECONDS)


async def _tune(tx: Connection, queue: str) -> None:
    # Rows come and go at once; with the usual fifth of the table dead, reading the head would walk over them.
    await tx.execute(
        f'ALTER TABLE pgmq."q_{queue}" SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)'
    )


async def _grant(tx: Connection, subscription: Subscription, known: set[str]) -> None:
    table, archive = (f'pgmq."{kind}_{subscription.queue}"' for kind in "qa")
    for role in {subscription.role, PUBLISHER} & known:
        await tx.execute(f"GRANT USAGE ON SCHEMA pgmq TO {role}")
    if subscription.role in known:
        await tx.execute(f"GRANT SELECT, DELETE ON {table} TO {subscription.role}")
        await tx.execute(f"GRANT UPDATE (vt, read_ct, last_read_at) ON {table} TO {subscription.role}")
        await tx.execute(f"GRANT INSERT ON {archive} TO {subscription.role}")
    if PUBLISHER in known:
        await tx.execute(f"GRANT SELECT ON pgmq.topic_bindings TO {PUBLISHER}")
        await tx.execute(f"GRANT INSERT, SELECT (msg_id, enqueued_at) ON {table} TO {PUBLISHER}")
