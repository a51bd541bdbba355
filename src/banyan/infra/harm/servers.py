"""What the supervisor does to a server of somebody else's making.

Each is a coroutine that returns when the fault is over and leaves nothing behind however it is ended.
"""

import asyncio
import contextlib
import os
import random
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from banyan.infra import embedded
from banyan.infra.databases import Server
from banyan.infra.faults.kinds import Fault
from banyan.infra.harm import freezer
from banyan.infra.postgres import LOST
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.infra.supervisor.child import dies_with_parent

_LOOK = 0.02
_BETWEEN_STOPS = 0.1
_ROUND = 0.1
_SPIN = "DO $$ BEGIN LOOP END LOOP; END $$"
_OTHERS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
_HOARD = """DO $$ DECLARE hoard text[] := '{}';
BEGIN
  FOR i IN 1..128 LOOP hoard := hoard || repeat(chr(64 + i % 32), 8000000); PERFORM pg_sleep(0.02); END LOOP;
  PERFORM pg_sleep(1000);
END $$"""
_dice = random.Random()  # noqa: S311 # whose session ends is no secret

Pid = Callable[[], int | None]


async def frozen(pid: int, seconds: float, *, stop: float, run: float, holds: asyncio.Event) -> None:
    """Stopped, with all its descendants, for `stop` seconds at a time, with `run` seconds between; `holds` is set
    as soon as they are."""
    script = Path(freezer.__file__)
    arguments = (pid, state.start_ticks(pid), seconds, stop, run)
    helper = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(script), *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    stopped: dict[int, int] = {}
    try:
        while helper.stdout is not None and (line := await helper.stdout.readline()):
            stopped = dict(map(_named, line.decode().split()[1:]))
            holds.set()
    finally:
        freezer.thaw(stopped)  # whoever has killed the helper must not have stopped them for good
        if helper.stdin is not None:
            helper.stdin.close()
        await asyncio.shield(helper.wait())
        freezer.thaw(stopped)


def _named(word: str) -> tuple[int, int]:
    pid, _, ticks = word.partition(":")
    return int(pid), int(ticks)


async def killed(pid: Pid, seconds: float, *, holds: asyncio.Event) -> None:
    """Once, or again and again for so many seconds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        victim = pid()
        if victim is not None:
            with contextlib.suppress(OSError):
                os.killpg(victim, signal.SIGKILL)
            holds.set()
        if asyncio.get_running_loop().time() >= deadline:
            return
        await asyncio.sleep(_LOOK)


async def disk_full(pid: Pid, seconds: float, *, holds: asyncio.Event) -> None:
    """No file takes a byte, also after a restart: a full disk does not care who has died of it."""
    deadline = asyncio.get_running_loop().time() + seconds
    try:
        while asyncio.get_running_loop().time() < deadline:
            _limit_files(pid(), 0)
            holds.set()
            await asyncio.sleep(_LOOK)
    finally:
        _limit_files(pid(), resource.getrlimit(resource.RLIMIT_FSIZE)[0])


def _limit_files(root: int | None, limit: int) -> None:
    for pid in freezer.family(root) if root is not None else ():
        with contextlib.suppress(OSError, ValueError):
            hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))


async def beside(seconds: float, workers: int, *, holds: asyncio.Event) -> None:
    """Programs beside it that burn what CPU they get."""
    code = f"import time\nend = time.monotonic() + {seconds}\nwhile time.monotonic() < end: sum(range(10_000))"
    burners = []
    try:
        for _ in range(workers):
            prefix = dies_with_parent(signal.SIGKILL)
            burners.append(await asyncio.create_subprocess_exec(*prefix, sys.executable, "-I", "-S", "-c", code))
        holds.set()
        await asyncio.gather(*(burner.wait() for burner in burners))
    finally:
        for burner in burners:
            with contextlib.suppress(ProcessLookupError):
                burner.kill()


async def sessions_ended(settings: Settings, server: Server, fault: Fault, *, holds: asyncio.Event) -> None:
    """Ten times a second, each session is ended with the fault's chance."""
    deadline = asyncio.get_running_loop().time() + fault.seconds
    while asyncio.get_running_loop().time() < deadline:
        with contextlib.suppress(*LOST):
            async with _session(settings, server) as session:
                while asyncio.get_running_loop().time() < deadline:
                    for other in await session.fetch(_OTHERS, timeout=3):
                        if _dice.uniform(0, 100) < fault.percent:
                            await session.fetchval("SELECT pg_terminate_backend($1)", other["pid"], timeout=3)
                    holds.set()
                    await asyncio.sleep(_ROUND)
        await asyncio.sleep(_ROUND)


async def spinning(settings: Settings, server: Server, fault: Fault, *, holds: asyncio.Event) -> None:
    """Sessions that calculate for ever."""
    holds.set()
    await _at_work(settings, server, fault.seconds, [_SPIN] * fault.workers)


async def hoarding(settings: Settings, server: Server, fault: Fault, *, holds: asyncio.Event) -> None:
    """A session that takes a gigabyte, little by little, if nobody stops it."""
    holds.set()
    await _at_work(settings, server, fault.seconds, [_HOARD])


async def _at_work(settings: Settings, server: Server, seconds: float, statements: list[str]) -> None:
    async def one(sql: str) -> None:
        with contextlib.suppress(*LOST):
            async with _session(settings, server) as session:
                # Ends in the server, too, when we are gone.
                await session.execute(f"SET statement_timeout = {max(1, round(seconds * 1000))}")
                await session.execute("SET client_connection_check_interval = 500")
                await session.execute(sql)

    await asyncio.gather(*(one(sql) for sql in statements))


@asynccontextmanager
async def _session(settings: Settings, server: Server) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    session = await embedded.connect(settings, server)
    try:
        yield session
    finally:
        session.terminate()


async def slowed(pid: int, fault: Fault, *, holds: asyncio.Event) -> None:
    """Stopped for the fault's delay, then running for a moment, again and again."""
    await frozen(pid, fault.seconds, stop=fault.delay, run=_BETWEEN_STOPS, holds=holds)
