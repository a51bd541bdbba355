"""The new state of a consumer while it is built: tables beside the old ones, an inbox, and how far it came."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from banyan.infra.postgres import Connection, Database
from banyan.messaging.rebuilding import Way, schema_of

DROP = "DROP SCHEMA IF EXISTS {schema} CASCADE"
MAKE = "CREATE SCHEMA {schema}"
TABLE = "CREATE TABLE {schema}.{table} (LIKE {table} INCLUDING ALL)"
REACHED = "CREATE TABLE {schema}.reached (rebuild uuid NOT NULL, place text NOT NULL)"
# What was no part of the new state when it was met: it stood in the dead letters, or was discarded from there.
PASSED = "CREATE TABLE {schema}.passed (event_id uuid PRIMARY KEY)"
BEGIN = "INSERT INTO {schema}.reached (rebuild, place) VALUES ($1, '')"
THERE = "SELECT to_regclass($1) IS NOT NULL"
FIND = "SELECT place FROM {schema}.reached WHERE rebuild = $1"
MOVE = "UPDATE {schema}.reached SET place = $2 WHERE place = $1 RETURNING true"
ENTER = "SELECT set_config('search_path', $1 || ', ' || current_setting('search_path'), true)"
LEAVE = "SELECT set_config('search_path', $1, true)"
PATH = "SELECT current_setting('search_path')"
DEAD = """
SELECT event_id FROM dead_letter WHERE consumer = $1 AND event_id = ANY($2::uuid[])
UNION SELECT event_id FROM inbox WHERE consumer = $1 AND event_id = ANY($2::uuid[]) AND NOT isfinite(at)
"""
SET_ASIDE = "INSERT INTO {schema}.passed SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING"
REMEMBER = """
INSERT INTO {schema}.inbox (consumer, event_id) SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING RETURNING event_id
"""
# What the consumer has handled meanwhile, and the new state has not: since then, and of what was passed by.
MISSING = """
SELECT event_id FROM inbox AS old
WHERE consumer = $1 AND isfinite(at) AND (event_id >= $2 OR event_id IN (SELECT event_id FROM {schema}.passed))
    AND NOT EXISTS (SELECT FROM {schema}.inbox AS new WHERE new.consumer = $1 AND new.event_id = old.event_id)
"""
REDRIVEN = """
SELECT event_id FROM {schema}.passed JOIN inbox AS old USING (event_id)
WHERE old.consumer = $1 AND isfinite(old.at)
    AND NOT EXISTS (SELECT FROM {schema}.inbox AS new WHERE new.consumer = $1 AND new.event_id = old.event_id)
"""
# Whoever handles an event waits here until the new state is in its place.
STOP_HANDLING = "LOCK TABLE inbox IN SHARE ROW EXCLUSIVE MODE"
# What was discarded stays so. By difference, because nobody handles anything meanwhile.
FORGET = """
DELETE FROM inbox AS old WHERE consumer = $1 AND isfinite(at)
    AND NOT EXISTS (SELECT FROM {schema}.inbox AS new WHERE new.consumer = $1 AND new.event_id = old.event_id)
"""
TAKE_OVER = """
INSERT INTO inbox (consumer, event_id)
SELECT consumer, event_id FROM {schema}.inbox AS new
WHERE NOT EXISTS (SELECT FROM inbox AS old WHERE old.consumer = $1 AND old.event_id = new.event_id)
ON CONFLICT DO NOTHING
"""
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Shadow:
    """Of one consumer. Its rows outlive the process that fills it."""

    consumer: str

    @property
    def schema(self) -> str:
        return schema_of(self.consumer)

    def _sql(self, text: str, **more: str) -> str:
        return text.format(schema=self.schema, **more)

    async def find(self, database: Database, rebuild: UUID) -> str | None:
        """How far that rebuild came; None where there is nothing of it."""
        if not await database.fetchval(THERE, f"{self.schema}.reached"):
            return None
        place: str | None = await database.fetchval(self._sql(FIND), rebuild)
        return place

    async def make(self, tx: Connection, way: Way, rebuild: UUID) -> None:
        """Empty, whatever was there."""
        await tx.execute(self._sql(DROP))
        await tx.execute(self._sql(MAKE))
        for table in (*way.tables, "inbox"):
            await tx.execute(self._sql(TABLE, table=table))
        await tx.execute(self._sql(REACHED))
        await tx.execute(self._sql(PASSED))
        await tx.execute(self._sql(BEGIN), rebuild)

    async def drop(self, tx: Connection) -> None:
        await tx.execute(self._sql(DROP))

    async def move(self, tx: Connection, *, of: str, to: str) -> bool:
        """Answers False where another process has moved it already."""
        return bool(await tx.fetchval(self._sql(MOVE), of, to))

    async def dead(self, tx: Connection, events: Sequence[UUID]) -> set[UUID]:
        """Which of them are dead letters, or were; that is remembered."""
        found = [row["event_id"] for row in await tx.fetch(DEAD, self.consumer, events)]
        if found:
            await tx.execute(self._sql(SET_ASIDE), found)
        return set(found)

    async def remember(self, tx: Connection, events: Sequence[UUID]) -> set[UUID]:
        """Which of them are new to it."""
        return {row["event_id"] for row in await tx.fetch(self._sql(REMEMBER), self.consumer, events)}

    async def missing(self, tx: Connection, *, since: UUID) -> list[UUID]:
        return [row["event_id"] for row in await tx.fetch(self._sql(MISSING), self.consumer, since)]

    async def redriven(self, tx: Connection) -> list[UUID]:
        return [row["event_id"] for row in await tx.fetch(self._sql(REDRIVEN), self.consumer)]

    async def replace_inbox(self, tx: Connection) -> None:
        await tx.execute(self._sql(FORGET), self.consumer, timeout=_LONGEST_SECONDS)
        await tx.execute(self._sql(TAKE_OVER), self.consumer, timeout=_LONGEST_SECONDS)

    async def enter(self, tx: Connection) -> str:
        """From here on tables are the new ones, where there are any of that name; answers what `leave` wants."""
        path: str = await tx.fetchval(PATH)
        await tx.fetchval(ENTER, self.schema)
        return path

    async def leave(self, tx: Connection, path: str) -> None:
        await tx.fetchval(LEAVE, path)
