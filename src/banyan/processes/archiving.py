"""Beside `banyan up` while `BANYAN_WAL_ARCHIVE` is set: says when the log cannot be archived, and keeps it moving."""

import asyncio
import time

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.embedded import Kept
from banyan.infra.postgres import LOST
from banyan.infra.settings import Settings
from banyan.infra.supervisor.supervisor import Progress, Supervisor

_LOOK_SECONDS = 2.0
_TROUBLE = "cannot archive its log"

_STATE = """
SELECT last_failed_wal FROM pg_stat_archiver
WHERE last_failed_time > coalesce(last_archived_time, '-infinity')
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
    pause = max(0.1, min(_LOOK_SECONDS, settings.wal_archive_every / 4))
    look = Look(settings, server)
    failing = False
    while True:
        await asyncio.sleep(pause)
        child = supervisor.children.get(name)
        if child is None or child.state.state != "ready":
            continue
        try:
            stuck_at = await look()
        except LOST:
            continue  # it is watched by others, too
        if stuck_at is not None:
            child.note(f"{_TROUBLE}: {stuck_at} waits. Nothing is lost while there is room for it in the data folder.")
            if not failing:
                progress.trouble(name, f"{_TROUBLE} to {settings.wal_archive}; see {settings.logs / f'{name}.log'}")
        elif child.state.detail.startswith(_TROUBLE):
            child.note("")
            progress.say(f"{name} archives its log again")
        failing = stuck_at is not None


class Look:
    """Answers the segment that cannot be archived, if one cannot."""

    def __init__(self, settings: Settings, server: Server) -> None:
        self._every = settings.wal_archive_every
        self._kept = Kept(lambda: embedded.connect(settings, server))
        self._beat = 0.0

    async def __call__(self) -> str | None:
        if time.monotonic() - self._beat > self._every / 2:
            await self._kept.fetchval(_HEARTBEAT)
            self._beat = time.monotonic()
        found = await self._kept.fetchval(_STATE)
        return None if found is None else str(found)

    def end(self) -> None:
        self._kept.end()
