"""Days: an event's id begins with the moment of its making, so a day's events are a range of ids and a table of their
own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg
import structlog

from banyan.infra.postgres import Connection, Database, DatabaseAway
from banyan.infra.settings import Settings
from banyan.messaging.pace import horizon_of

Asked: TypeAlias = "Database | Connection"

log = structlog.get_logger()

AHEAD = 7
_TRIES = 10

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '400ms'"
"""Making or dropping a day shuts everybody out of the store for a moment, and whoever waits for that keeps everybody
behind it waiting, too: so it gives up soon, and comes again."""

MISSING = """
SELECT day::date FROM generate_series($1::timestamp, $1::timestamp + $2::int * interval '1 day', '1 day') AS day
WHERE to_regclass('event_' || to_char(day, 'YYYYMMDD')) IS NULL ORDER BY day
"""
MAKE = "SELECT make_event_day($1)"
DAYS = """
SELECT relname AS name, to_date(right(relname, 8), 'YYYYMMDD') AS day FROM pg_inherits
JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'event'::regclass AND relname ~ '^event_[0-9]{8}$' ORDER BY relname
"""
STRAYED = "SELECT DISTINCT (at AT TIME ZONE 'UTC')::date AS day FROM event_stray WHERE at < $1 ORDER BY day"


@dataclass(frozen=True, slots=True)
class Day:
    """A day's own table; or with `strays` what is of that day in the table of those that no day took."""

    day: date
    table: str
    strays: bool = False


async def make_ahead(database: Database, *, now: datetime) -> int:
    """Make the days that are missing, from today on; answers how many. One that cannot be made just now is made the
    next time: until then its events stray, and move there. Raises DatabaseAway."""
    today = now.astimezone(UTC).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    made = 0
    for row in await database.fetch(MISSING, today, AHEAD):
        if not await _make(database, row["day"]):
            log.warning("a day of events could not be made just now", day=str(row["day"]))
            break
        made += 1
    return made


async def _make(database: Database, day: date) -> bool:
    for _ in range(_TRIES):
        try:
            async with database.transaction() as tx:
                await tx.execute(LOCK_TIMEOUT)
                await tx.execute(MAKE, day)
            return True
        except DatabaseAway as fault:
            if not isinstance(fault.__cause__, asyncpg.LockNotAvailableError):
                raise
    return False


async def days(database: Asked) -> list[Day]:
    """The oldest first."""
    return [Day(row["day"], row["name"]) for row in await database.fetch(DAYS)]


async def due(connection: Asked, settings: Settings, *, now: datetime) -> list[Day]:
    """What is past its retention: days that ended before then, and strays of such days. The oldest first."""
    ended = (now.astimezone(UTC) - timedelta(days=settings.event_retention)).date()
    past = [day for day in await days(connection) if day.day < ended]
    before = datetime.combine(ended, time(), UTC)
    strayed: Sequence[asyncpg.Record] = await connection.fetch(STRAYED, before)
    past += [Day(row["day"], "event_stray", strays=True) for row in strayed]
    return sorted(past, key=lambda one: (one.day, one.strays))


def ranges(known: Sequence[Day]) -> Iterator[tuple[UUID, UUID]]:
    """All ids there may be, from the highest down, in parts of which each lies in one day or in none."""
    edges = {first_id(datetime.combine(one.day + timedelta(days=n), time(), UTC)) for one in known for n in (0, 1)}
    lows = sorted({UUID(int=0)} | edges, reverse=True)
    return zip(lows, [UUID(int=(1 << 128) - 1), *lows], strict=False)


def horizon(settings: Settings, now: datetime) -> UUID:
    """Inboxes know every event from this id on. One that is older and comes all the same may have been handled."""
    return first_id(now - timedelta(seconds=horizon_of(settings.event_retention)))


def first_id(at: datetime) -> UUID:
    """As SQL's `first_event_id`: no event made from then on has a lower one."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << 80)
