"""From a day's table to a file in the object store: written, put, read back, noted, and only then dropped.

Whatever it is cut off by, it leaves the table, or the table and the file; the next time begins again.
"""

import asyncio
import hashlib
import random
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

import asyncpg
import structlog

from banyan.infra import databases, objects
from banyan.infra.objects import ObjectStore
from banyan.infra.postgres import CONNECT_TIMEOUT, Row
from banyan.infra.settings import Settings
from banyan.messaging import envelope
from banyan.messaging.store import archive, days
from banyan.messaging.store.archive import Extent
from banyan.messaging.store.days import Day

log = structlog.get_logger()

_LOCK = 0x61726368697665  # "archive"
_FETCHED = 200
_STEP_SECONDS = 60.0
_COUNT_SECONDS = 600.0
_PIECE = 1024 * 1024
_TRIES = 5

_BUSY = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.DeadlockDetectedError)

_SESSION = {
    "application_name": "banyan-archive",
    "statement_timeout": "0",
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "600000",  # while a file is put
    "timezone": "UTC",
}

_OF_DAY = "true"
_OF_STRAYS = "(at AT TIME ZONE 'UTC')::date = '{day}'"
ROWS = """
SELECT id::text, type, key, position, at, request_id, traceparent, data::text FROM {table} WHERE {which}
ORDER BY position
"""
COUNT = "SELECT count(*) FROM {table} WHERE {which}"
# What is told again just now, or was never told, needs the store.
NEEDED = """
SELECT EXISTS (SELECT FROM outbox JOIN {table} ON id = event_id WHERE {which})
    OR EXISTS (
        SELECT FROM replay WHERE state = 'running' AND EXISTS (
            SELECT FROM {table} WHERE {which} AND position > last_position AND position <= end_position
        )
    )
"""
# From before personal data were sealed; iam is at it.
IN_PLAIN_TEXT = """
SELECT EXISTS (
    SELECT FROM {table}
    WHERE {which} AND data -> 'pii' ? 'email' AND data -> 'pii' <> '{{"name": "", "email": ""}}'
)
"""
NOTED = "SELECT name, rows, bytes, checksum FROM archived_day WHERE day = $1 AND NOT strays"
NOTE = """
INSERT INTO archived_day
    (name, day, strays, rows, bytes, checksum, first_id, last_id, first_position, last_position)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (name) DO UPDATE SET rows = excluded.rows, bytes = excluded.bytes, checksum = excluded.checksum,
    first_id = excluded.first_id, last_id = excluded.last_id, first_position = excluded.first_position,
    last_position = excluded.last_position, at = now()
"""
SOON = "SET LOCAL statement_timeout = '5000'"
NO_WRITERS = "LOCK TABLE {table} IN SHARE MODE"
NOBODY = "LOCK TABLE ONLY event IN ACCESS EXCLUSIVE MODE"
NOBODY_AT_STRAYS = "LOCK TABLE event_stray IN ACCESS EXCLUSIVE MODE"
DROP = "DROP TABLE {table}"
UNGUARDED = "ALTER TABLE event_stray DISABLE TRIGGER USER"
GUARDED = "ALTER TABLE event_stray ENABLE TRIGGER USER"
REMOVE = "DELETE FROM event_stray WHERE {which}"

Connection: TypeAlias = "asyncpg.Connection[Row]"


class NotAsWritten(Exception):
    """What the object store gave back is not what was put; the day stays where it is."""


class StillNeeded(Exception):
    """Some of the day is in the outbox, or a replay is at it, or its personal data have yet to be sealed."""


async def archive_due(settings: Settings, context: str, *, now: datetime) -> int:
    """Archive every day that is past its retention; answers how many. One that fails keeps none after it waiting, and
    is tried again the next time. Does nothing where another process is at it."""
    store = objects.store(settings)
    done, faults = 0, list[Exception]()
    try:
        async with _alone(databases.url(settings, context)) as connection:
            if connection is None:
                return 0
            with _Desk(settings, context) as desk:
                for day in await days.due(connection, settings, now=now):
                    try:
                        await _Archiving(connection, store, desk, context, day).run()
                        done += 1
                    except StillNeeded:
                        log.warning("a day is past its retention but still needed", day=str(day.day))
                    except (*_BUSY, NotAsWritten, objects.StoreTrouble) as fault:
                        log.warning("a day could not be archived just now", day=str(day.day), reason=str(fault))
                        faults.append(fault)
    finally:
        await store.close()
    if faults:
        raise faults[0]
    return done


@asynccontextmanager
async def _alone(url: str) -> AsyncIterator["Connection | None"]:
    connection = await asyncpg.connect(
        url, timeout=CONNECT_TIMEOUT, command_timeout=_STEP_SECONDS, server_settings=_SESSION
    )
    try:
        yield connection if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK) else None
    finally:
        connection.terminate()


class _Desk:
    """A folder for drafts, hidden from backups; what a kill left in it is gone when the next one begins."""

    def __init__(self, settings: Settings, context: str) -> None:
        self.folder = settings.data / f".archiving-{context}"

    def __enter__(self) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True)
        return self.folder

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class _Archiving:
    def __init__(self, connection: Connection, store: ObjectStore, desk: Path, context: str, day: Day) -> None:
        self._connection = connection
        self._store = store
        self._desk = desk
        self._folder = f"events/{context}/dt={day.day}"
        self._day = day
        self._which = _OF_STRAYS.format(day=day.day) if day.strays else _OF_DAY

    async def run(self) -> None:
        if await self._connection.fetchval(self._sql(NEEDED)):
            raise StillNeeded
        if await self._connection.fetchval(self._sql(IN_PLAIN_TEXT), timeout=_COUNT_SECONDS):
            raise StillNeeded
        rows = await self._noted()
        if rows is not None:
            await self._leave(rows, note=None)
            return
        draft = self._desk / "draft.parquet"
        extent = await archive.write(draft, self._rows())
        if extent is None:
            await self._leave(0, note=None)
            return
        size, checksum = await _sum(_pieces(draft))
        name = await self._free_name(extent.first_id, size, checksum)
        await self._store.put(name, _pieces(draft))
        draft.unlink()
        await self._check(name, extent, size, checksum)
        note = (name, self._day.day, self._day.strays, extent.rows, size, checksum, *_bounds(extent))
        if self._day.strays:
            await self._leave(extent.rows, note=note)
        else:
            await self._connection.execute(NOTE, *note)
            await self._leave(extent.rows, note=None)
        log.info("archived a day of events", day=str(self._day.day), rows=extent.rows, bytes=size, name=name)

    async def _noted(self) -> int | None:
        """How many rows are safe already, where the last attempt came as far as that and only the table is left."""
        if self._day.strays:
            return None
        noted = await self._connection.fetchrow(NOTED, self._day.day)
        if noted is None:
            return None
        try:
            found = await _sum(self._store.get(noted["name"]))
        except objects.ObjectMissing:
            return None
        safe = found == (noted["bytes"], noted["checksum"])
        return int(noted["rows"]) if safe and noted["rows"] == await self._count() else None

    async def _rows(self) -> AsyncIterator[Sequence[archive.Event]]:
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            cursor = await self._connection.cursor(self._sql(ROWS))
            while batch := await cursor.fetch(_FETCHED, timeout=_STEP_SECONDS):
                yield [{**row, "source": envelope.source_of(row["type"])} for row in batch]

    async def _free_name(self, first_id: str, size: int, checksum: str) -> str:
        """What lies there and is not the same may be another Banyan's, which was given this store by mistake."""
        name = f"{self._folder}/{first_id}.parquet"
        if await self._store.find(name) is None or await _sum(self._store.get(name)) == (size, checksum):
            return name
        return f"{self._folder}/{first_id}-{checksum[:16]}.parquet"

    async def _check(self, name: str, written: Extent, size: int, checksum: str) -> None:
        copy = self._desk / "copy.parquet"
        with copy.open("wb") as file:
            async for piece in self._store.get(name):
                await asyncio.to_thread(file.write, piece)
        if await _sum(_pieces(copy)) != (size, checksum) or archive.extent(copy) != written:
            raise NotAsWritten(f"{name} in {self._store.name} is not what was put there.")
        copy.unlink()

    async def _leave(self, rows: int, *, note: tuple[object, ...] | None) -> None:
        for tried in range(1, _TRIES + 1):
            try:
                await (self._remove(rows, note) if self._day.strays else self._drop(rows))
                return
            except _BUSY:
                if tried == _TRIES:
                    raise
            await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 # jitter

    async def _drop(self, rows: int) -> None:
        async with self._connection.transaction():
            await self._connection.execute(days.LOCK_TIMEOUT)
            # Nobody writes to a day so old but who began before it was written to the file.
            await self._connection.execute(self._sql(NO_WRITERS))
            await self._check_count(rows)
            await self._connection.execute(SOON)
            await self._connection.execute(NOBODY)
            if await self._connection.fetchval(self._sql(NEEDED)):
                raise StillNeeded
            await self._connection.execute(self._sql(DROP))

    async def _remove(self, rows: int, note: tuple[object, ...] | None) -> None:
        async with self._connection.transaction():
            await self._connection.execute(days.LOCK_TIMEOUT)
            await self._connection.execute(NOBODY_AT_STRAYS)
            await self._check_count(rows)
            if await self._connection.fetchval(self._sql(NEEDED)):
                raise StillNeeded
            if note is not None:
                await self._connection.execute(NOTE, *note)
            await self._connection.execute(UNGUARDED)
            await self._connection.execute(self._sql(REMOVE))
            await self._connection.execute(GUARDED)

    async def _check_count(self, rows: int) -> None:
        if await self._count() != rows:
            raise NotAsWritten(f"{self._day.table} has changed meanwhile.")

    async def _count(self) -> int:
        return int(await self._connection.fetchval(self._sql(COUNT), timeout=_COUNT_SECONDS))

    def _sql(self, text: str) -> str:
        return text.format(table=self._day.table, which=self._which)


def _bounds(extent: Extent) -> tuple[UUID, UUID, int, int]:
    return UUID(extent.first_id), UUID(extent.last_id), extent.first_position, extent.last_position


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece


async def _sum(pieces: AsyncIterator[bytes]) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    async for piece in pieces:
        size += len(piece)
        digest.update(piece)
    return size, digest.hexdigest()
