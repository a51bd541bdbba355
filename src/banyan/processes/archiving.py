"""Beside `banyan up` while `BANYAN_WAL_ARCHIVE` is set: says when the log cannot be archived, and keeps it moving."""

import asyncio
import time

import asyncpg

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.settings import Settings
from banyan.infra.supervisor.supervisor import Progress, Supervisor

_LOOK = 2.0
_TROUBLE = "cannot archive its log"

_STATE = """
SELECT coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) AS failing, last_failed_wal
FROM pg_stat_archiver
"""

# A commit that changes nothing. Without it the archive of a server where nothing happens tells of no time at all, and a
# restore to a moment could not know whether the moment is in it.
_HEARTBEAT = "SELECT pg_logical_emit_message(true, 'banyan', '')"


async def watch(settings: Settings, supervisor: Supervisor, progress: Progress) -> None:
    if not settings.wal_archive:
        return
    await asyncio.gather(*(_watch(settings, supervisor, progress, server) for server in databases.SERVERS))


async def _watch(settings: Settings, supervisor: Supervisor, progress: Progress, server: Server) -> None:
    name = f"postgres-{server.name}"
    pause = max(0.1, min(_LOOK, settings.wal_archive_every / 4))
    failing, beat = False, 0.0
    while True:
        await asyncio.sleep(pause)
        child = supervisor.children.get(name)
        if child is None or child.state.state != "ready":
            continue
        due = time.monotonic() - beat > settings.wal_archive_every / 2
        try:
            stuck_at = await _look(settings, server, beat=due)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            continue  # it is watched by others, too
        beat = time.monotonic() if due else beat
        if stuck_at is not None:
            child.note(f"{_TROUBLE}: {stuck_at} waits. Nothing is lost while there is room for it in the data folder.")
            if not failing:
                progress.trouble(name, f"{_TROUBLE} to {settings.wal_archive}; see {settings.logs / f'{name}.log'}")
        elif child.state.detail.startswith(_TROUBLE):
            child.note("")
            progress.say(f"{name} archives its log again")
        failing = stuck_at is not None


async def _look(settings: Settings, server: Server, *, beat: bool) -> str | None:
    """The segment that cannot be archived, if one cannot."""
    connection = await embedded.connect(settings, server)
    try:
        if beat:
            await connection.execute(_HEARTBEAT, timeout=3)
        row = await connection.fetchrow(_STATE, timeout=3)
    finally:
        connection.terminate()
    return str(row["last_failed_wal"]) if row is not None and row["failing"] else None
