"""What operators decide about dead letters: another try, or never again."""

from collections.abc import Sequence

import structlog

from banyan.contracts.messaging import DeadChoice, DeadOutcome
from banyan.infra.postgres import Connection, Database, Row
from banyan.kit.errors import Conflict, Refused
from banyan.messaging.letters import looking
from banyan.messaging.letters.looking import DeadLetterUnknown

log = structlog.get_logger()

_KEYS_AT_ONCE = 500

OF = "SELECT consumer, key FROM dead_letter WHERE id = $1"

# What is locked is being tried just now, and that again is all that was asked for.
REDRIVE = """
WITH chosen AS MATERIALIZED (
    SELECT consumer, key FROM stuck_key
    WHERE ($1::text IS NULL OR consumer = $1) AND ($2::text IS NULL OR key = $2)
), free AS MATERIALIZED (
    SELECT consumer, key FROM stuck_key JOIN chosen USING (consumer, key)
    ORDER BY consumer, key FOR UPDATE OF stuck_key SKIP LOCKED
), asked AS (
    UPDATE stuck_key SET redrive_at = clock_timestamp(), redrives = 0 FROM free
    WHERE stuck_key.consumer = free.consumer AND stuck_key.key = free.key
)
SELECT (SELECT count(*) FROM dead_letter JOIN chosen USING (consumer, key)) AS letters,
    (SELECT count(*) FROM chosen) AS keys
"""

LOCK = """
SELECT consumer, key FROM stuck_key
WHERE ($1::text IS NULL OR consumer = $1) AND ($2::text IS NULL OR key = $2) AND (consumer, key) > ($3, $4)
    AND EXISTS (
        SELECT FROM dead_letter WHERE dead_letter.consumer = stuck_key.consumer AND dead_letter.key = stuck_key.key
            AND (state <> 'parked' OR $2 IS NOT NULL)
    )
ORDER BY consumer, key LIMIT $5 FOR UPDATE SKIP LOCKED
"""
# Never again: the inbox has its id as if it had been handled, and no rebuild forgets that.
DISCARD = """
WITH gone AS (
    DELETE FROM dead_letter USING unnest($1::text[], $2::text[]) AS held (consumer, key)
    WHERE dead_letter.consumer = held.consumer AND dead_letter.key = held.key
        AND CASE WHEN $3::bigint IS NULL THEN state <> 'parked' ELSE id = $3 END
    RETURNING dead_letter.consumer, dead_letter.key, event_id
), noted AS (
    INSERT INTO inbox (consumer, event_id, at) SELECT consumer, event_id, 'infinity' FROM gone ORDER BY event_id
    ON CONFLICT DO NOTHING
)
SELECT count(*) AS letters, count(DISTINCT (consumer, key)) AS keys FROM gone
"""
FREE = """
DELETE FROM stuck_key USING unnest($1::text[], $2::text[]) AS held (consumer, key)
WHERE stuck_key.consumer = held.consumer AND stuck_key.key = held.key AND NOT EXISTS (
    SELECT FROM dead_letter WHERE dead_letter.consumer = held.consumer AND dead_letter.key = held.key
)
"""
# What waited only for what is gone now.
GO_ON = """
UPDATE stuck_key SET redrive_at = clock_timestamp(), redrives = 0
FROM (
    SELECT DISTINCT ON (consumer, key) consumer, key, state
    FROM dead_letter JOIN unnest($1::text[], $2::text[]) AS held (consumer, key) USING (consumer, key)
    ORDER BY consumer, key, id
) AS head
WHERE stuck_key.consumer = head.consumer AND stuck_key.key = head.key AND head.state = 'parked'
"""


class NothingChosen(Refused):
    """Say which: a letter by its id, all of a consumer, or all."""


class BeingTried(Conflict):
    """This key is being tried again just now; look at what has become of it, and ask once more."""


async def redrive(database: Database, choice: DeadChoice) -> DeadOutcome:
    """Try the keys of these again, beginning with the first letter of each. Raises NothingChosen, DeadLetterUnknown."""
    async with database.transaction() as tx:
        consumer, key = await _chosen(tx, choice)
        row = await tx.fetchrow(REDRIVE, consumer, key)
    assert row is not None
    log.info("dead letters are to be tried again", letters=row["letters"], keys=row["keys"], consumer=consumer)
    return DeadOutcome(letters=row["letters"], keys=row["keys"])


async def discard(database: Database, choice: DeadChoice) -> DeadOutcome:
    """Never handle these, and let what waits behind them go on. Of a consumer, or of all, only those at fault
    themselves. Raises NothingChosen, DeadLetterUnknown, BeingTried."""
    letters = keys = 0
    last = ("", "")
    while True:
        async with database.transaction() as tx:
            consumer, key = await _chosen(tx, choice)
            held = await tx.fetch(LOCK, consumer, key, *last, _KEYS_AT_ONCE)
            if held:
                gone = await _discard(tx, held, choice.id)
                letters, keys = letters + gone["letters"], keys + gone["keys"]
                last = (held[-1]["consumer"], held[-1]["key"])
        if choice.id is not None and not letters:
            raise BeingTried
        if choice.id is not None or len(held) < _KEYS_AT_ONCE:
            break
    log.info("dead letters discarded", letters=letters, keys=keys, consumer=consumer)
    return DeadOutcome(letters=letters, keys=keys)


async def _discard(tx: Connection, held: Sequence[Row], letter: int | None) -> Row:
    consumers, keys = [row["consumer"] for row in held], [row["key"] for row in held]
    gone = await tx.fetchrow(DISCARD, consumers, keys, letter)
    assert gone is not None
    await tx.execute(FREE, consumers, keys)
    await tx.execute(GO_ON, consumers, keys)
    return gone


async def _chosen(tx: Connection, choice: DeadChoice) -> tuple[str | None, str | None]:
    """(consumer, key); None where any is meant."""
    if choice.id is not None:
        row = await tx.fetchrow(OF, choice.id) if looking.is_number(choice.id) else None
        if row is None:
            raise DeadLetterUnknown(choice.id)
        return row["consumer"], row["key"]
    if choice.consumer is None and not choice.all:
        raise NothingChosen
    return choice.consumer, None
