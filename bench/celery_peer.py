"""Celery with Redis doing the same: an event to three consumers, after the commit it tells of."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from banyan.infra import databases, postgres
from banyan.infra.postgres import Database
from banyan.kit.ids import uuid7
from bench import celery_app, machine, servers, site, telling
from bench.events_report import Pushed
from bench.report import Plan

QUEUES = ("counting", "writing", "watching")
CONTEXTS = ("iam", "learning", "live")
CONCURRENCY = 2
PUBLISH_THREADS = 8
SETTLE_SECONDS = 20.0
WARM = 60
ABOUT = (
    f"*Celery* is Celery with Debian's Redis (append-only file, synced each second) on the same machine: each event is"
    f" handed to three queues by `apply_async` when its transaction has committed; three workers of {CONCURRENCY}"
    " processes each hear of it and write one row into the database that the subscriber of Banyan's has its inbox in."
)


@dataclass(slots=True)
class Measured:
    pushed: list[Pushed] = field(default_factory=list)
    drained: list[float] = field(default_factory=list)  # events a second that all three have handled


def redis(folder: Path, port: int) -> list[str]:
    """Raises servers.Missing."""
    folder.mkdir(exist_ok=True)
    command = [servers.program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    return [*command, "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--loglevel", "warning"]


def worker(queue: str) -> list[str]:
    command = [sys.executable, "-m", "celery", "-A", celery_app.__name__, "worker", "-Q", queue, "-n", f"{queue}@bench"]
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    return [*command, "-c", str(CONCURRENCY), *options]


def environ(port: int, database: str, *, late: bool) -> Mapping[str, str]:
    told = {celery_app.BROKER: broker(port), celery_app.DATABASE: database, celery_app.LATE: "1" if late else "0"}
    return {**os.environ, **told}


def broker(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


class Publisher:
    """Hands an event to the three queues, as code does that runs after a commit. Raises what Celery raises."""

    def __init__(self, port: int) -> None:
        from celery import Celery

        self._app: Any = Celery("bench", broker=broker(port))
        self._app.conf.update(broker_connection_timeout=2)
        self._threads = ThreadPoolExecutor(PUBLISH_THREADS)

    async def publish(self, booking: str, key: str, number: int) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._hand_over, (booking, key, number))

    def _hand_over(self, told: tuple[str, str, int]) -> None:
        for queue in QUEUES:
            self._app.send_task(celery_app.NAME, args=told, queue=queue)

    def close(self) -> None:
        self._threads.shutdown()
        self._app.close()


def measure(demo: site.Demo, plan: Plan, folder: Path, rates: Sequence[int]) -> Measured:
    """Raises servers.Missing."""
    measured = Measured()
    rounds, seconds, backlog = (1, 2.0, 600) if plan.quick else (3, 5.0, 3_000)
    port = servers.free_port()
    asyncio.run(_prepare(demo))
    with _running(demo, folder, port) as pids:
        publisher = Publisher(port)
        asyncio.run(_backlog(demo, publisher, WARM))
        for _ in range(rounds):
            measured.pushed += [asyncio.run(_pushed(demo, publisher, pids, rate, seconds)) for rate in rates]
            measured.drained.append(asyncio.run(_backlog(demo, publisher, backlog)))
        publisher.close()
    return measured


@contextlib.contextmanager
def _running(demo: site.Demo, folder: Path, port: int) -> Iterator[dict[str, int]]:
    with contextlib.ExitStack() as stack:
        log = folder / "celery.log"
        command = redis(folder / "redis", port)
        pids = {"redis": stack.enter_context(servers.running(command, log=log, ready=lambda: servers.listens(port)))}
        for queue, context in zip(QUEUES, CONTEXTS, strict=True):
            told = environ(port, databases.url(demo.settings, context), late=False)
            command = ["env", *(f"{name}={told[name]}" for name in told if name.startswith("BENCH_")), *worker(queue)]
            started = servers.running(command, log=log, ready=lambda: True, patience=60)
            pids[queue] = stack.enter_context(started)
        yield pids


async def _pushed(demo: site.Demo, publisher: Publisher, pids: dict[str, int], rate: int, seconds: float) -> Pushed:
    core, beyond = (demo.processes()[name] for name in ("postgres-core", "postgres-aside"))
    parts = {**pids, "postgres-core": core, "postgres-aside": beyond}
    before = {name: machine.cpu_seconds([pid]) for name, pid in parts.items()}
    own = time.process_time()
    database = postgres.database(demo.settings, "learning", size=telling.WRITERS)
    committed: dict[str, float] = {}
    behind = 0.0

    async def tell(due: float) -> None:
        nonlocal behind
        booking = str(uuid7())
        async with database.transaction() as tx:
            await tx.execute("INSERT INTO bench_celery_told VALUES ($1)", booking)
        committed[booking] = time.monotonic()
        behind = max(behind, committed[booking] - due)
        await publisher.publish(booking, booking, 0)

    await telling.paced(tell, rate=rate, seconds=seconds)
    heard = await _until_heard(demo, set(committed))
    await database.close()
    took = [1000 * (at - committed[booking]) for times in heard for booking, at in times.items()]
    used = {name: machine.cpu_seconds([pid]) - before[name] for name, pid in parts.items()}
    used["workers"] = sum(used.pop(queue) for queue in QUEUES)
    used["writer"] = time.process_time() - own
    number = len(committed)
    cpu_ms = {name: 1000 * cpu / number for name, cpu in used.items()}
    return Pushed(rate, number, took, number * len(QUEUES) - len(took), cpu_ms, behind)


async def _backlog(demo: site.Demo, publisher: Publisher, number: int) -> float:
    """How many events a second all three hear of while they never run out of them."""
    bookings = [str(uuid7()) for _ in range(number)]
    await asyncio.gather(*(publisher.publish(each, each, 0) for each in bookings))
    heard = await _until_heard(demo, set(bookings))
    times = [at for each in heard for at in each.values()]
    return number / (max(times) - min(times))


async def _until_heard(demo: site.Demo, wanted: set[str]) -> list[dict[str, float]]:
    """When each of the three heard of which for the first time, as soon as there is nothing left or it takes long."""
    stores = [postgres.database(demo.settings, context, size=1) for context in CONTEXTS]
    end = time.monotonic() + SETTLE_SECONDS
    heard = [await _heard(each, wanted) for each in stores]
    while any(len(each) < len(wanted) for each in heard) and time.monotonic() < end:
        await asyncio.sleep(0.25)
        heard = [await _heard(each, wanted) for each in stores]
    for each in stores:
        await each.close()
    return heard


async def _heard(database: Database, wanted: set[str]) -> dict[str, float]:
    rows = await database.fetch("SELECT booking, min(at) AS at FROM bench_celery GROUP BY booking")
    return {row["booking"]: row["at"] for row in rows if row["booking"] in wanted}


async def _prepare(demo: site.Demo) -> None:
    for context in CONTEXTS:
        database = postgres.database(demo.settings, context, size=1)
        async with database.connection() as connection:
            await connection.execute(celery_app.HEARD)
            if context == "learning":
                await connection.execute("CREATE TABLE bench_celery_told (id text PRIMARY KEY)")
        await database.close()
