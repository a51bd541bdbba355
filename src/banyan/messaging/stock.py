"""How much of a context's events there is: what waits to be published, and which days are stored."""

import re

from banyan.contracts.messaging import OutboxNow
from banyan.infra.postgres import Database
from banyan.messaging.broker import MOST_COUNTED

OUTBOX = """
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS counted) AS waiting,
    (SELECT extract(epoch FROM clock_timestamp() - since)::float8 FROM outbox ORDER BY position LIMIT 1) AS oldest
"""
DAYS = """
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'event'::regclass ORDER BY relname
"""
ARCHIVED = "SELECT count(DISTINCT day) FROM archived_day"

_DAY = re.compile(r"event_(\d{4})(\d{2})(\d{2})")


async def outbox(database: Database) -> OutboxNow:
    row = await database.fetchrow(OUTBOX, MOST_COUNTED)
    assert row is not None
    return OutboxNow(waiting=row["waiting"], oldest_seconds=max(0.0, row["oldest"] or 0.0))


async def days(database: Database) -> list[str]:
    """Those that are stored, oldest first."""
    found = (_DAY.fullmatch(row["relname"]) for row in await database.fetch(DAYS))
    return ["-".join(day.groups()) for day in found if day is not None]


async def archived(database: Database) -> int:
    """How many days are in the archive."""
    count: int = await database.fetchval(ARCHIVED)
    return count
