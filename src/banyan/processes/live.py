"""The `live` process: what happens just now, pushed to open pages."""

import asyncio
import resource
from dataclasses import replace

from banyan.infra import databases, http, migrations, postgres
from banyan.infra.preparation import Preparation
from banyan.infra.settings import Settings
from banyan.infra.streams import StreamProtocol
from banyan.live import consumers, jobs
from banyan.live.adapters import Line
from banyan.live.domain import Hub, Limits
from banyan.live.http import router
from banyan.processes.events import Events, make_days

_UNKNOWN = 1000
_OTHER_FILES = 200


async def run(settings: Settings) -> None:
    allow_open_files(settings.live_watchers + _OTHER_FILES)
    database = postgres.database(settings, "live")
    bell, prepared = asyncio.Event(), asyncio.Event()
    limits = Limits(settings.live_watchers, settings.live_per_address, unknown=_UNKNOWN)
    hub = Hub(limits, ring=bell.set)

    async def prepare() -> None:
        await migrations.migrate(database, "live")
        await make_days(database)
        prepared.set()

    preparation = Preparation(prepare)
    events = Events(settings, "live", database, consumers=[consumers.from_learning(database)])
    # A stream that begins is short work, and all of them may come back at once: its own limit is the one that counts.
    bounds = replace(settings, in_flight=max(settings.in_flight, settings.live_watchers))
    # Not `database.ready`: without its database it still holds its streams, and who is not ready for long is killed.
    app = http.application(
        "live", [router(hub, database, settings), events.router], settings=bounds, checks=[preparation.check]
    )
    listener = http.inherited_or_own_socket(settings, "live")
    stop = http.stop_signal()
    line = Line(databases.url(settings, "live"))
    async with (
        jobs.running(hub, bell, database, line, settings=settings, stop=stop, prepared=prepared),
        events.running(after=preparation.check),
    ):
        await preparation.beside(http.serve(preparation.guard(app), listener, stop=stop, protocol=StreamProtocol))
    await database.close()


def allow_open_files(wanted: int) -> None:
    """Each stream is an open file, and many a system begins with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
