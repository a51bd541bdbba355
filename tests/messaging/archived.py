"""An archive as tests look at it, and the program that writes it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import msgspec

from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging.store import archiving
from banyan.messaging.store.protocol import Archive
from banyan.messaging.store.reading import Store
from tests.messaging.stored import NOW

OLD = 100

ADD = "INSERT INTO event (id, type, key, data, at) VALUES ($2, 'banyan.learning.x.v1', 'k', '{}', $1)"

ARCHIVERS = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'banyan-archive' AND datname = current_database()
"""


def files(settings: Settings) -> list[Path]:
    return sorted(settings.objects.rglob("*.parquet"))


async def whole(store: Store, *, limit: int = 500) -> list[UUID]:
    ids: list[UUID] = []
    after: int | None = 0
    while after is not None:
        page = await store.stream([], after=after, limit=limit)
        ids += [UUID(item.id) for item in page.items]
        after = int(page.next) if page.next is not None else None
    return ids


async def run(settings: Settings) -> int:
    return await archiving.archive_due(settings, "learning", now=NOW)


async def at_work(database: Database) -> bool:
    return not await alone(database)


async def alone(database: Database) -> bool:
    return not await database.fetchval(ARCHIVERS)


@contextlib.contextmanager
def program(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    order = msgspec.json.encode(Archive("learning")).decode()
    process = subprocess.Popen(
        [sys.executable, "-m", "banyan.messaging.store.program", order],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **settings.environ()},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def most_memory(process: "subprocess.Popen[bytes]") -> int:
    """The kilobytes that it ever used. Not from getrusage, which counts what we used when we began it, too."""
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it ends just now
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            peak = max(peak, int(status.split("VmHWM:")[1].split()[0]))
        time.sleep(0.01)
    return peak
