"""What the handling of events writes of keys that are stuck; everything in the transaction that decides it.

The row of `stuck_key` is the lock of a key: who parks an event shares it, who redrives or discards has it alone. So
nothing overtakes what is parked, and nothing is parked behind a key that goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from banyan.contracts.messaging import DeadState
from banyan.infra.postgres import Connection

LARGEST_BODY = 1_000_000

# Sorted, so that two deliveries of the same events wait for each other instead of both. A key that is seen to be stuck
# but not held is just being redriven; whoever waited for that would keep the events of other keys waiting.
REMEMBER = """
WITH seen AS MATERIALIZED (
    SELECT key FROM stuck_key WHERE consumer = $1 AND key = ANY($3::text[])
), held AS MATERIALIZED (
    SELECT key FROM stuck_key WHERE consumer = $1 AND key = ANY($3::text[]) FOR SHARE SKIP LOCKED
), new AS (
    INSERT INTO inbox (consumer, event_id)
    SELECT $1, id FROM unnest($2::uuid[], $3::text[]) AS told (id, key)
    WHERE key <> ALL (coalesce((SELECT array_agg(key) FROM seen), '{}')) ORDER BY id
    ON CONFLICT DO NOTHING RETURNING event_id
)
SELECT (SELECT array_agg(event_id) FROM new) AS new, (SELECT array_agg(key) FROM seen) AS stuck,
    (SELECT array_agg(key) FROM held) AS held
"""

# Handled before its key was stuck: then it only came once more.
PARK = """
INSERT INTO dead_letter (consumer, key, event_id, type, body, state, attempts, error, traceback)
SELECT $1, key, id, type, body, 'parked', 0, '', ''
FROM unnest($2::text[], $3::uuid[], $4::text[], $5::bytea[]) WITH ORDINALITY AS told (key, id, type, body, place)
WHERE NOT EXISTS (SELECT FROM inbox WHERE consumer = $1 AND event_id = id)
ORDER BY place ON CONFLICT (consumer, event_id) DO NOTHING
"""

INBOX = "INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"
FORGET = "DELETE FROM inbox WHERE consumer = $1 AND event_id = $2"
STICK = """
INSERT INTO stuck_key (consumer, key) VALUES ($1, $2)
ON CONFLICT (consumer, key) DO UPDATE SET since = stuck_key.since
"""
BURY = """
INSERT INTO dead_letter (consumer, key, event_id, type, body, state, attempts, error, traceback)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (consumer, event_id) DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An event, or what came instead of one, and why it is not handled."""

    event_id: UUID
    key: str
    type: str
    body: bytes
    state: DeadState
    attempts: int
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Remembered:
    """`new` are the events that were not handled before and are now; `stuck` the keys whose events are to be parked,
    `busy` those whose events must come again because somebody is at them just now."""

    new: set[UUID]
    stuck: set[str]
    busy: set[str]


async def remember(tx: Connection, consumer: str, ids: Sequence[UUID], keys: Sequence[str]) -> Remembered:
    """The first statement of every handling: a second delivery waits here for the outcome of one under way."""
    row = await tx.fetchrow(REMEMBER, consumer, ids, keys)
    assert row is not None
    stuck = set(row["held"] or ())
    return Remembered(new=set(row["new"] or ()), stuck=stuck, busy=set(row["stuck"] or ()) - stuck)


async def park(tx: Connection, consumer: str, letters: Sequence[Letter]) -> None:
    """Behind what is stuck, in this order; the locks of their keys are held."""
    columns = zip(*((one.key, one.event_id, one.type, one.body[:LARGEST_BODY]) for one in letters), strict=True)
    await tx.execute(PARK, consumer, *map(list, columns))


async def bury(tx: Connection, consumer: str, letter: Letter) -> bool:
    """Its key is stuck from now on. Answers False where somebody has handled it after all."""
    # Waits for whoever is handling the same just now.
    if not await tx.fetchval(INBOX, consumer, letter.event_id):
        return False
    await tx.execute(FORGET, consumer, letter.event_id)
    await tx.execute(STICK, consumer, letter.key)
    await tx.execute(
        BURY,
        consumer,
        letter.key,
        letter.event_id,
        letter.type,
        letter.body[:LARGEST_BODY],
        letter.state,
        letter.attempts,
        letter.error,
        letter.traceback,
    )
    return True
