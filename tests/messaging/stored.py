"""Filling a store with events of earlier days."""

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from banyan.infra.postgres import Database
from banyan.messaging.store.days import first_id

NOW = datetime.now(UTC)
SEALED = {"person": "p1", "sealed": "c2VhbGVk"}

_ADD = """
INSERT INTO event (id, type, key, data, at, request_id)
SELECT id, $2, $3, $4::jsonb, at, 'r' FROM unnest($1::uuid[], $5::timestamptz[]) WITH ORDINALITY AS told (id, at, n)
ORDER BY n
"""


async def fill(
    database: Database,
    *,
    days: int,
    each: int,
    ago: int = 0,
    kind: str = "banyan.learning.told.v1",
    key: str = "k",
    data: dict[str, Any] | None = None,
) -> list[UUID]:
    """So many events on each of the days up to `ago` days ago; answers their ids in the order of their positions."""
    ids: list[UUID] = []
    for day in range(days - 1, -1, -1):
        date = (NOW - timedelta(days=day + ago)).date()
        async with database.transaction() as tx:
            await tx.execute("SELECT make_event_day($1)", date)
        # Early on that day, so that today's are not of the future.
        start = min(datetime.combine(date, time(0, 0, 1), UTC), datetime.now(UTC))
        times = [start + timedelta(milliseconds=n) for n in range(each)]
        made = [UUID(int=first_id(at).int | (0x7 << 76) | uuid4().int & ((1 << 76) - 1)) for at in times]
        await database.fetch(_ADD, made, kind, key, json.dumps(data or {"강의": 1}), times)
        ids += made
    return ids


async def days_of(database: Database) -> list[str]:
    rows = await database.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = 'event'::regclass AND relname <> 'event_stray' ORDER BY relname"
    )
    return [row["relname"] for row in rows]
