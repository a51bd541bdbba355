"""What a consumer's own database says of it to every process that runs it: paused or not, what is due, what is dead."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from banyan.infra.postgres import Database
from banyan.messaging.broker import MOST_COUNTED

LOOK = """
SELECT paused_at, coalesce(paused_by, '') AS paused_by, forgotten_to,
    EXISTS (SELECT FROM stuck_key WHERE consumer = $1 AND redrive_at <= clock_timestamp()) AS due
FROM (VALUES ($1::text)) AS asked (name) LEFT JOIN consumer USING (name)
"""
COUNT = """
SELECT count(*) FILTER (WHERE state <> 'parked') AS dead, count(*) FILTER (WHERE state = 'parked') AS parked
FROM (SELECT state FROM dead_letter WHERE consumer = $1 LIMIT $2) AS counted
"""
PAUSE = """
INSERT INTO consumer (name, paused_at, paused_by) VALUES ($1, now(), $2)
ON CONFLICT (name) DO UPDATE SET paused_at = coalesce(consumer.paused_at, now()),
    paused_by = CASE WHEN consumer.paused_at IS NULL THEN excluded.paused_by ELSE consumer.paused_by END
"""
RESUME = "UPDATE consumer SET paused_at = NULL, paused_by = '' WHERE name = $1"
REBUILDING = "SELECT consumer FROM rebuild WHERE state = 'running'"


@dataclass(frozen=True, slots=True)
class Standing:
    """`due`: some key shall be redriven now. `forgotten_to`: below this id the inbox may have forgotten events, though
    it would remember them for longer by now."""

    paused_at: datetime | None
    paused_by: str
    due: bool
    forgotten_to: UUID | None


async def look(database: Database, consumer: str) -> Standing:
    row = await database.fetchrow(LOOK, consumer)
    assert row is not None
    return Standing(row["paused_at"], row["paused_by"], row["due"], row["forgotten_to"])


async def count(database: Database, consumer: str) -> tuple[int, int]:
    """(at fault themselves, parked behind them)"""
    row = await database.fetchrow(COUNT, consumer, MOST_COUNTED)
    assert row is not None
    return row["dead"], row["parked"]


async def rebuilding(database: Database) -> set[str]:
    """Consumers whose state is being built anew."""
    return {row["consumer"] for row in await database.fetch(REBUILDING)}


async def pause(database: Database, consumer: str, *, by: str) -> None:
    """Whoever paused it first has."""
    await database.fetch(PAUSE, consumer, by)


async def resume(database: Database, consumer: str) -> None:
    await database.fetch(RESUME, consumer)
