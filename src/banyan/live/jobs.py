"""What `live` does by itself: hear of new counts, wake watchers, look after streams, forget what is old."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from banyan.infra.postgres import Database, DatabaseAway
from banyan.infra.settings import Settings
from banyan.live import operations, queries
from banyan.live.adapters import Line
from banyan.live.domain import Count, Hub

log = structlog.get_logger()

_SLICE = 100
_PACE_SECONDS = 50e-6  # for each watcher woken: the more watch, the less often, so that a rush leaves time for others
_PAUSE_SECONDS = 0.5
_PRUNE_SECONDS = 60.0
_GOODBYE_SECONDS = 2.0

_ANNOUNCEMENT = msgspec.json.Decoder(tuple[str, int, int])


@asynccontextmanager
async def running(
    hub: Hub,
    bell: asyncio.Event,
    database: Database,
    line: Line,
    *,
    settings: Settings,
    stop: asyncio.Event,
    prepared: asyncio.Event,
) -> AsyncIterator[None]:
    """All of it, beside the block. Where one fails for a reason nobody thought of, the process ends and is seen."""
    async with asyncio.TaskGroup() as tasks:
        jobs = [
            tasks.create_task(job)
            for job in (
                spread(hub, bell),
                look_after(hub, settings),
                say_goodbye(hub, stop),
                _once(prepared, hear(hub, line, poll=settings.live_poll)),
                _once(prepared, forget(database, older_than=timedelta(seconds=settings.live_journal))),
            )
        ]
        yield
        for job in jobs:
            job.cancel()


async def _once(prepared: asyncio.Event, job: Coroutine[object, object, None]) -> None:
    try:
        await prepared.wait()
    except asyncio.CancelledError:
        job.close()
        raise
    await job


async def hear(hub: Hub, line: Line, *, poll: float) -> None:
    """Keep the hub at the database's counts, whatever becomes of the connection."""

    def heard(text: str) -> None:
        slug, position, learners = _ANNOUNCEMENT.decode(text)
        hub.tell(slug, Count(position, learners))

    away = False
    while True:
        try:
            async with line.open(heard) as (connection, lost):
                if away:
                    log.info("the database is back")
                    hub.rouse()
                away = False
                while not lost.is_set():
                    # Also what was announced while nobody listened, and a sign of life of the server.
                    for slug, count in (await queries.latest(connection, hub.slugs)).items():
                        hub.tell(slug, count)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(lost.wait(), poll)
        except DatabaseAway as fault:
            if not away:
                log.warning("the database is away; pages stay open", reason=repr(fault.__cause__ or fault))
            away = True
        await asyncio.sleep(_PAUSE_SECONDS)


async def spread(hub: Hub, bell: asyncio.Event) -> None:
    """Wake the watchers of what has changed, some at a time. What changes meanwhile is told in the next round."""
    while True:
        await bell.wait()
        bell.clear()
        watchers = hub.waking()
        for start in range(0, len(watchers), _SLICE):
            some = watchers[start : start + _SLICE]
            for watcher in some:
                watcher.wake()
            await asyncio.sleep(len(some) * _PACE_SECONDS)


async def look_after(hub: Hub, settings: Settings) -> None:
    """Signs of life for the quiet, the end for those who take nothing."""
    loop = asyncio.get_running_loop()
    pause = min(1.0, settings.live_heartbeat / 4, settings.live_drain / 4)
    while True:
        await asyncio.sleep(pause)
        hub.look_after(
            now=loop.time(),
            heartbeat=settings.live_heartbeat,
            drain=settings.live_drain,
            longest=settings.live_longest,
        )


async def forget(database: Database, *, older_than: timedelta) -> None:
    """Keep the journal from growing old."""
    while True:
        try:
            await operations.prune(database, older_than=older_than, now=datetime.now(UTC))
        except Exception as fault:  # it only grows until the next round
            log.warning("the journal was not pruned", reason=repr(fault))
        await asyncio.sleep(_PRUNE_SECONDS)


async def say_goodbye(hub: Hub, stop: asyncio.Event) -> None:
    """End every stream in order when the process is told to stop."""
    await stop.wait()
    hub.end()
    await asyncio.sleep(_GOODBYE_SECONDS)
    hub.cut()
