"""What a restore needs to know of events: contexts are kept at slightly different moments, and events make them agree
again."""

from collections.abc import Iterable
from datetime import datetime

import asyncpg

from banyan.infra.postgres import CONNECT_TIMEOUT
from banyan.messaging.relay import OWNERS
from banyan.messaging.subscriptions import SUBSCRIPTIONS

_ANSWER_SECONDS = 30.0  # of a server that hangs; the outbox is short
_OLDEST = "SELECT min(at) FROM outbox JOIN event ON event.id = event_id"

# Of one key in the order in which they happened. What waited to be published takes its place among them.
_AGAIN = """
WITH waiting AS (
    DELETE FROM outbox RETURNING event_id, consumer
), again AS (
    SELECT event_id AS id, consumer FROM waiting UNION SELECT id, NULL FROM event WHERE at >= $1
)
INSERT INTO outbox (event_id, consumer)
SELECT event.id, again.consumer FROM event JOIN again ON again.id = event.id ORDER BY event.position
"""

# A database as it was kept before its events had positions: ids begin with the millisecond of their making, under the
# lock of the aggregate; within one the rows' own places tell.
_AGAIN_BEFORE = """
WITH waiting AS (
    DELETE FROM outbox RETURNING event_id
), again AS (
    SELECT event_id AS id FROM waiting UNION SELECT id FROM event WHERE at >= $1
)
INSERT INTO outbox (event_id)
SELECT event.id FROM event JOIN again ON again.id = event.id ORDER BY left(event.id::text, 13), event.ctid
"""

_HAS_POSITIONS = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'event'::regclass AND attname = 'position')"
_RIGHTS = ("GRANT SELECT ON event TO relay", "GRANT SELECT, DELETE ON outbox TO relay")
_RIGHTS_TO_REST = "GRANT SELECT, INSERT, UPDATE ON relay_rest TO relay"


def keeping_order(contexts: Iterable[str]) -> list[str]:
    """Those who hear of events before those who tell of them, and the bus first of all. In this order, whatever is in
    a consumer's snapshot is in its owner's, too; and what is missing there, its owner still has to tell."""
    left = sorted(set(contexts))
    hears = {(one.role, one.consumer.rpartition("-from-")[2]) for one in SUBSCRIPTIONS}
    ordered = [name for name in left if name == "bus"]
    left = [name for name in left if name != "bus"]
    while left:
        heard = {source for role, source in hears if role in left and role != source}
        free = [name for name in left if name not in heard] or left  # a circle has no order; any is as good
        ordered += free
        left = [name for name in left if name not in free]
    return ordered


async def oldest_unpublished(url: str) -> datetime | None:
    """When the oldest event happened that the relay has yet to publish."""
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, command_timeout=_ANSWER_SECONDS)
    try:
        if await connection.fetchval("SELECT to_regclass('outbox')") is None:
            return None
        found: datetime | None = await connection.fetchval(_OLDEST)
        return found
    finally:
        await connection.close(timeout=5)


async def republish(url: str, *, since: datetime) -> int:
    """Put every stored event since then into the outbox once more; answers how many. Inboxes make that harmless."""
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
    try:
        if await connection.fetchval("SELECT to_regclass('outbox')") is None:
            return 0
        async with connection.transaction():
            # What is added meanwhile would come before what happened before it.
            await connection.execute("LOCK TABLE outbox IN SHARE ROW EXCLUSIVE MODE", timeout=10)
            again = _AGAIN if await connection.fetchval(_HAS_POSITIONS) else _AGAIN_BEFORE
            done = await connection.execute(again, since)
        return int(done.rsplit(" ", 1)[1])
    finally:
        await connection.close(timeout=5)


async def let_relay_read(url: str) -> None:
    """The rights that the migrations give where the relay's role is there before them."""
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
    try:
        if await connection.fetchval("SELECT to_regclass('outbox')") is not None:
            for right in _RIGHTS:
                await connection.execute(right)
            if await connection.fetchval("SELECT to_regclass('relay_rest')") is not None:
                await connection.execute(_RIGHTS_TO_REST)
    finally:
        await connection.close(timeout=5)


def tellers() -> tuple[str, ...]:
    """The contexts whose outbox is relayed."""
    return OWNERS
