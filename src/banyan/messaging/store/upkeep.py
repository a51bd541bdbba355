"""The job that keeps a context's store: days ahead are made, old ones archived and dropped, old inbox rows deleted."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from banyan.infra import repeating
from banyan.infra.postgres import LOST, Database
from banyan.infra.settings import Settings
from banyan.kit.errors import Unavailable
from banyan.messaging.store import child, days

log = structlog.get_logger()

# A consumer may have read the clock before us.
_LATER_THAN_REFUSED = timedelta(days=1)
_FORGOTTEN_AT_A_TIME = 5_000

CONSUMERS = """
WITH RECURSIVE known AS (
    (SELECT consumer FROM inbox ORDER BY consumer LIMIT 1)
    UNION ALL
    SELECT (SELECT consumer FROM inbox WHERE inbox.consumer > known.consumer ORDER BY consumer LIMIT 1)
    FROM known WHERE known.consumer IS NOT NULL
)
SELECT consumer FROM known WHERE consumer IS NOT NULL
"""
FORGET = """
WITH old AS (
    SELECT event_id FROM inbox WHERE consumer = $1 AND event_id < $2 AND isfinite(at) -- not what was discarded
    ORDER BY event_id LIMIT $3
), gone AS (
    DELETE FROM inbox USING old WHERE consumer = $1 AND inbox.event_id = old.event_id RETURNING 1
), noted AS (
    INSERT INTO consumer (name, forgotten_to) SELECT $1, $2 WHERE EXISTS (SELECT FROM old)
    ON CONFLICT (name) DO UPDATE SET forgotten_to = greatest(consumer.forgotten_to, excluded.forgotten_to)
)
SELECT count(*) FROM gone
"""


class Upkeep:
    def __init__(self, settings: Settings, context: str, database: Database) -> None:
        self._settings = settings
        self._context = context
        self._database = database

    @asynccontextmanager
    async def running(self, *, after: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Keep the store beside the block, once `after` no longer raises Unavailable."""
        async with repeating.beside(self._run(after)):
            yield

    async def _run(self, after: Callable[[], Awaitable[None]]) -> None:
        await repeating.until_possible(after)
        await repeating.for_ever(self.keep, every=self._settings.event_upkeep)

    async def keep(self) -> None:
        """One round. A part that fails keeps none of the others from being done."""
        now = datetime.now(UTC)
        for part in (self._make, self._archive, self._forget):
            try:
                await part(now)
            except (Unavailable, child.ArchivingFailed, *LOST) as fault:
                reason = str(fault) or type(fault).__name__
                log.warning("the event store could not be kept just now", part=part.__name__.strip("_"), reason=reason)

    async def _make(self, now: datetime) -> None:
        await days.make_ahead(self._database, now=now)

    async def _archive(self, now: datetime) -> None:
        if await days.due(self._database, self._settings, now=now):
            await child.archive(self._settings, self._context)

    async def _forget(self, now: datetime) -> None:
        """Inbox rows of events that consumers no longer handle, however they come."""
        before = days.horizon(self._settings, now - _LATER_THAN_REFUSED)
        for row in await self._database.fetch(CONSUMERS):
            forgotten = _FORGOTTEN_AT_A_TIME
            while forgotten == _FORGOTTEN_AT_A_TIME:  # others want the database, too
                forgotten = await self._database.fetchval(FORGET, row["consumer"], before, _FORGOTTEN_AT_A_TIME)
