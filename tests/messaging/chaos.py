"""Processes and servers that are killed with -9, and started again as a supervisor would."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from banyan.infra import databases, embedded, proc
from banyan.infra.databases import Server
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from tests.messaging import part

ROOT = Path(__file__).parents[2]


class Timeline:
    """What was done to whom and when; printed when a test fails."""

    def __init__(self, seed: int) -> None:
        self._begin = time.monotonic()
        self._lines = [f"CHAOS_SEED={seed}"]

    def note(self, what: str) -> None:
        self._lines.append(f"{time.monotonic() - self._begin:7.2f} s  {what}")

    def __str__(self) -> str:
        return "\n".join(self._lines)


def new_seed() -> int:
    """Another each time, so that each run tries something else; CHAOS_SEED repeats one."""
    return int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))


class Part:
    """A process that is started again whenever it ends. It ends with us, whatever becomes of us."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.started_at = 0.0
        self._command = [shutil.which("setpriv") or "setpriv", "--pdeathsig", "KILL", "--", *command]
        self._environ = dict(environ)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._being_killed = asyncio.Lock()

    def start(self) -> None:
        self.started_at = time.monotonic()
        with self._log.open("ab") as said:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=ROOT
            )

    async def kill(self) -> None:
        """With -9, and all its children with it; started again when none of them is left."""
        async with self._being_killed:
            await self.end()
            self.start()

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """Killed, and not there during the block."""
        async with self._being_killed:
            await self.end()
            yield
            self.start()

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is None:
            return
        children = proc.children(self._process.pid)
        self._process.send_signal(number)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)
        while self._process.poll() is None or any(_lives(child) for child in children):
            await asyncio.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """To it and to its children."""
        assert self._process is not None
        for pid in (self._process.pid, *proc.children(self._process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def look_after(self) -> None:
        """Start it again if it ended by itself."""
        if not self._being_killed.locked() and self._process is not None and self._process.poll() is not None:
            self.start()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


class PostgresPart(Part):
    """An embedded server of its own, with the settings that Banyan's servers have."""

    def __init__(self, settings: Settings, server: Server) -> None:
        self._settings = settings
        self._server = server
        rights = embedded.privileges(settings)
        embedded.initialise(settings, server, rights)
        log = settings.data / f"{server.name}.log"
        super().__init__(server.name, embedded.command(settings, server, rights), os.environ, log)

    def url(self, database: str) -> str:
        password = secret(self._settings.secrets, f"postgres-{self._server.name}-superuser")
        return databases.embedded_url(self._settings, self._server, database, embedded.SUPERUSER, password)

    async def answers(self) -> None:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError):
                    return await embedded.probe(self._settings, self._server)
                await asyncio.sleep(0.05)

    async def make(self, database: str) -> str:
        connection = await embedded.connect(self._settings, self._server)
        await connection.execute(f"CREATE DATABASE {database}")
        await connection.close()
        return self.url(database)


def process(name: str, what: str, folder: Path, environ: Mapping[str, str]) -> Part:
    """One of part.py."""
    command = [sys.executable, "-m", part.__name__, what]
    return Part(name, command, {**os.environ, "BANYAN_DATA": str(folder), **environ}, folder / f"{name}.log")


@asynccontextmanager
async def running(parts: Sequence[Part]) -> AsyncIterator[None]:
    """All of them, watched over; ended with the block, in reverse."""
    watch = asyncio.create_task(_watch(parts))
    try:
        for each in parts:
            each.start()
        yield
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        for each in reversed(parts):
            await each.end()


async def _watch(parts: Sequence[Part]) -> None:
    while True:
        await asyncio.sleep(0.2)
        for each in parts:
            each.look_after()
