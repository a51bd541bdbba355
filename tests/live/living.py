"""The live process, really run on a database of its own, and a watcher that reads its streams byte by byte."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.live import consumers


class Process:
    """`banyan run live`. Several share one database as they would share a queue."""

    def __init__(self, database_url: str, **settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="by-", dir="/tmp"))
        self.socket = self.folder / "run" / "live.sock"
        self._environ = {
            **os.environ,
            "BANYAN_DATA": str(self.folder),
            "BANYAN_LIVE_DATABASE_URL": database_url,
            "BANYAN_LIVE_RETRY_SECONDS": "0.2",
            "BANYAN_LIVE_POLL_SECONDS": "0.5",
            **{f"BANYAN_{name.upper()}": value for name, value in settings.items()},
        }
        self.process: subprocess.Popen[bytes]

    async def start(self) -> "Process":
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "banyan.processes.run", "live"], env=self._environ, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while await self.ready() != 204:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            await asyncio.sleep(0.02)
        return self

    async def ready(self) -> int:
        try:
            async with Watcher(self, "/ready") as watcher:
                return watcher.status
        except (OSError, asyncio.IncompleteReadError):
            return 0

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """As the supervisor does it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=15)
        shutil.rmtree(self.folder, ignore_errors=True)
        return code

    def memory(self) -> int:
        """Bytes that are really in use."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmRSS:")[2].split()[0])


@dataclass
class Heard:
    position: int
    count: int
    at: float


@dataclass
class Watcher:
    """A client of one stream. `heard` are its `learners` events, `beats` its signs of life."""

    process: Process
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 0
    answer: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    heard: list[Heard] = field(default_factory=list)
    retries: list[int] = field(default_factory=list)
    beats: int = 0
    ended: bool = False  # in order, by the last chunk
    _reading: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> "Watcher":
        self.reader, self.writer = await asyncio.open_unix_connection(str(self.process.socket))
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        self.writer.write(f"GET {self.target} HTTP/1.1\r\nhost: live\r\n{fields}\r\n".encode())
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 15)).decode()
        status, *lines = head.strip().split("\r\n")
        self.status = int(status.split()[1])
        self.answer = dict(line.lower().split(": ", 1) for line in lines)
        if length := int(self.answer.get("content-length", 0)):
            self.body = await self.reader.readexactly(length)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def read(self) -> "asyncio.Task[None]":
        """Everything until the stream ends, in order or not. Who does not ask for this takes nothing."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        return self._reading

    async def read_for(self, seconds: float) -> "Watcher":
        """Read for a while, where nothing is expected."""
        await asyncio.wait([self.read()], timeout=seconds)
        return self

    async def read_until(self, position: int, *, seconds: float = 15) -> "Watcher":
        """Read until told that position, or a later one."""
        reading = self.read()
        async with asyncio.timeout(seconds):
            while not self.heard or self.heard[-1].position < position:
                assert not reading.done(), self
                await asyncio.sleep(0.005)
        return self

    async def _read(self) -> None:
        text = b""
        try:
            while size := int(await self.reader.readline() or b"0", 16):
                text += (await self.reader.readexactly(size + 2))[:-2]
                *whole, text = text.split(b"\n\n")
                for event in whole:
                    self._take(event.decode())
            self.ended = not self.reader.at_eof()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass

    def _take(self, event: str) -> None:
        fields = dict(line.split(":", 1) for line in event.split("\n"))
        if "data" in fields:
            assert fields["event"] == " learners"
            count = int(fields["data"].removeprefix(' {"count": ').removesuffix("}"))
            self.heard.append(Heard(int(fields["id"]), count, time.perf_counter()))
        elif "retry" in fields:
            self.retries.append(int(fields["retry"]))
        else:
            assert fields == {"": ""}, event
            self.beats += 1

    @property
    def positions(self) -> list[int]:
        return [event.position for event in self.heard]


@asynccontextmanager
async def watching(process: Process, slug: str, *, number: int) -> AsyncIterator[list[Watcher]]:
    """So many watchers of a course, one connection each."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Watcher(process, path(slug))) for _ in range(number)]


def path(slug: str) -> str:
    return f"/api/v1/courses/{quote(slug)}/live"


class School:
    """Enrols people: what comes to `live` as an event, handled as the consumer handles it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._courses: dict[str, tuple[str, int]] = {}

    def replace(self, slug: str) -> None:
        """Another course gets this address."""
        self._courses.pop(slug)

    async def enrol(self, slug: str = "spring", *, learners: int | None = None, at: datetime | None = None) -> int:
        course_id, before = self._courses.get(slug, (str(ids.uuid7()), 0))
        count = before + 1 if learners is None else learners
        self._courses[slug] = course_id, count
        event = StudentEnrolled(
            enrolment_id=str(ids.uuid7()),
            course_id=course_id,
            slug=slug,
            account_id=str(ids.uuid7()),
            learners=count,
            at=at or datetime.now(UTC),
        )
        async with self._database.transaction() as tx:
            await consumers.enrolled(tx, event)
        return count
