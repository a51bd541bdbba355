"""Keys that shall be tried again: asked for by an operator, or because what was unknown became known."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from banyan.infra.postgres import Connection, Database, Row
from banyan.messaging.letters.writing import INBOX

# Counted before the try and outside its transaction, so that an event that ends its process is found out.
CLAIM = """
UPDATE stuck_key SET redrives = redrives + 1
WHERE consumer = $1 AND key = (
    SELECT key FROM stuck_key WHERE consumer = $1 AND redrive_at <= clock_timestamp()
    ORDER BY redrive_at, key LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING key, redrives
"""
ENDED = "UPDATE stuck_key SET redrives = greatest(0, redrives - 1) WHERE consumer = $1 AND key = $2"
HEAD = """
SELECT id, event_id, type, body, state, attempts FROM dead_letter
WHERE consumer = $1 AND key = $2 ORDER BY id LIMIT $3
"""
LOCK = """
SELECT true FROM stuck_key WHERE consumer = $1 AND key = $2 AND redrive_at IS NOT NULL FOR UPDATE SKIP LOCKED
"""
DONE = "DELETE FROM dead_letter WHERE id = ANY($1::bigint[])"
GO_ON = """
UPDATE stuck_key SET redrives = 0, redrive_at = clock_timestamp()
WHERE consumer = $1 AND key = $2 AND (redrives > 0 OR redrive_at > clock_timestamp())
"""
FREE = """
DELETE FROM stuck_key WHERE consumer = $1 AND key = $2
    AND NOT EXISTS (SELECT FROM dead_letter WHERE consumer = $1 AND key = $2)
"""
WHY = "UPDATE dead_letter SET state = $2, attempts = $3, error = $4, traceback = $5 WHERE id = $1"
LATER = """
UPDATE stuck_key SET redrives = 0, redrive_at = clock_timestamp() + make_interval(secs => $3)
WHERE consumer = $1 AND key = $2
"""
# Only where the first of the key waits for nothing else.
KNOWN = """
UPDATE stuck_key SET redrive_at = now(), redrives = 0
FROM (
    SELECT DISTINCT ON (key) key, state, type FROM dead_letter WHERE consumer = $1 ORDER BY key, id
) AS head
WHERE consumer = $1 AND stuck_key.key = head.key AND redrive_at IS NULL
    AND head.state = 'unknown' AND head.type = ANY($2::text[])
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """`tries` counts this one, and those before it that came to no end."""

    key: str
    tries: int


async def claim(database: Database, consumer: str) -> Claimed | None:
    """The next key that is due and nobody is at."""
    row = await database.fetchrow(CLAIM, consumer)
    return Claimed(row["key"], row["redrives"]) if row is not None else None


async def ended(database: Database, consumer: str, key: str) -> None:
    """That try came to an end, though it changed nothing."""
    await database.fetch(ENDED, consumer, key)


async def head(database: Database, consumer: str, key: str, *, most: int) -> Sequence[Row]:
    """The letters of a key that come next."""
    return await database.fetch(HEAD, consumer, key, most)


async def lock(tx: Connection, consumer: str, key: str, letters: Sequence[int]) -> bool:
    """Whether these are still the next ones, the key is still to be redriven and it is ours alone until the end."""
    if not await tx.fetchval(LOCK, consumer, key):
        return False
    found = await tx.fetch(HEAD, consumer, key, len(letters))
    return [row["id"] for row in found] == list(letters)


async def remember(tx: Connection, consumer: str, event_id: UUID) -> bool:
    """Whether it was not handled before."""
    return bool(await tx.fetchval(INBOX, consumer, event_id))


async def done(tx: Connection, consumer: str, key: str, letters: Sequence[int]) -> None:
    """They had their effect; a key without letters is free."""
    await tx.execute(DONE, letters)
    await tx.execute(FREE, consumer, key)
    await tx.execute(GO_ON, consumer, key)


async def give_up(tx: Connection, consumer: str, key: str, *, again_after: float | None) -> None:
    """None: until somebody asks for it."""
    await tx.execute(LATER, consumer, key, again_after)


async def explain(tx: Connection, letter: int, *, state: str, attempts: int, error: str, traceback: str) -> None:
    """What has become of the try."""
    await tx.execute(WHY, letter, state, attempts, error, traceback)


async def redrive_known(database: Database, consumer: str, types: Sequence[str]) -> None:
    """What waits for these types to become known."""
    await database.fetch(KNOWN, consumer, types)
