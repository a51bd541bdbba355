"""A Banyan with a past, its backups, and what is asked of what was restored."""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from banyan.contracts.events import StudentEnrolled
from banyan.iam.operations.person_keys import PersonKeys
from banyan.infra import databases, postgres
from banyan.infra.backup import dumps, manifest
from banyan.infra.databases import SERVERS, Server
from banyan.infra.settings import Settings
from banyan.learning.consumers import from_iam
from banyan.live.consumers import enrolled
from banyan.messaging import Consumer, PgmqBroker, consuming, on, republishing
from banyan.messaging.consumers import at_once
from banyan.messaging.relay import relaying
from banyan.processes.iam import Iam
from tests.journeys.front_door import FrontDoor
from tests.processes.people import Learner

PAUSE = 0.1  # seconds between two of a crowd; it is there to be in the middle of something, not to be fast


@dataclass
class Crowd:
    """Learners who sign up and enrol, one after the other; `answered` is when each heard that it is done."""

    door: FrontDoor
    slugs: list[str]
    name: str
    answered: list[tuple[datetime, str, str]] = field(default_factory=list)
    last: Learner | None = None

    def join(self, number: int) -> None:
        learner = Learner(self.door)
        email = f"{self.name}-{number}@example.com"
        assert learner.sign_up(email, f"{self.name} {number}") == 201
        slug = self.slugs[number % len(self.slugs)]
        learner.enrol_until_told(slug)
        self.answered.append((datetime.now(UTC), email, slug))
        self.last = learner

    @contextmanager
    def joining(self) -> Iterator[None]:
        over = threading.Event()

        def run() -> None:
            number = 0
            while not over.is_set():
                self.join(number)
                number += 1
                over.wait(PAUSE)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)


@dataclass(frozen=True)
class Past:
    """What was kept of a Banyan that has ended since, and what people had been told by then."""

    folder: Path
    slugs: list[str]
    crowd: Crowd
    first_digest: str
    moment: datetime
    before: str
    after: str

    @property
    def archive(self) -> Path:
        return self.folder / "wal"

    def kept(self, name: str) -> Path:
        return self.folder / name


def live_through(door: FrontDoor, folder: Path) -> Past:
    with urllib.request.urlopen(f"{door.url}/_banyan/api/v1/courses?limit=100") as answer:
        free = [course["slug"] for course in json.load(answer)["items"] if course["price"] == 0]
    door.banyan("gateway", "kill-switch", "on")
    crowd = Crowd(door, free[:3], "crowd")
    with crowd.joining():
        wait_until(lambda: len(crowd.answered) >= 3)
        kept = json.loads(door.banyan("backup", str(folder / "first"), "--json"))
        wait_until(lambda: len(crowd.answered) >= 6)
        door.banyan("backup", str(folder / "second"))
        wait_until(lambda: len(crowd.answered) >= 9)
        door.banyan("backup", str(folder / "third"))
    door.banyan("backup", str(folder / "physical"), "--physical")
    more = Crowd(door, free[3:4], "more")
    more.join(1)
    time.sleep(0.2)
    moment = datetime.now(UTC)
    time.sleep(0.2)
    more.join(2)
    archive_what_was(door)
    assert not [secret for secret in secrets_of(door.data) if mentioned(door.data / "logs", secret)]
    return Past(folder, free, crowd, kept["digest"], moment, more.answered[0][1], more.answered[1][1])


def archive_what_was(door: FrontDoor) -> None:
    """Commit once more on every server, and wait until that is in the archive."""
    settings = Settings.read({"BANYAN_DATA": str(door.data)})

    async def ask(server: Server, sql: str) -> str:
        return str((await asked(settings, server.databases[0], sql))[0][0])

    for server in SERVERS:
        asyncio.run(ask(server, "SELECT pg_logical_emit_message(true, 'test', '')"))
        ended = asyncio.run(ask(server, "SELECT pg_walfile_name(pg_switch_wal())"))
        last = f"SELECT coalesce(max(last_archived_wal), '') >= '{ended}' FROM pg_stat_archiver"
        wait_until(lambda server=server, last=last: asyncio.run(ask(server, last)) == "True", pause=0.3)


def wait_until(true: Any, patience: float = 120, pause: float = 0.02) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline
        time.sleep(pause)


def banyan(*arguments: str, environ: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "banyan", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **(environ or {})}
    )


def killed_when(said: str, *arguments: str) -> None:
    """Run a command, and kill it without warning as soon as it has said that."""
    command = [sys.executable, "-m", "banyan", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        heard = ""
        for line in process.stderr:
            heard += line
            if said in line:
                process.kill()
                break
    assert process.returncode == -signal.SIGKILL, heard


async def asked(settings: Settings, database: str, sql: str, *arguments: object) -> list[Any]:
    connection = await asyncpg.connect(dumps.superuser_url(settings, database))
    try:
        return [tuple(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


LEARNERS = """
SELECT id, learners FROM course
WHERE id::text IN (SELECT data->>'course_id' FROM event WHERE type LIKE 'banyan.learning.student-enrolled.%')
"""

WATCHED = "SELECT id, learners FROM course"


def mix(made: Path, sources: dict[str, Path]) -> None:
    """A backup in which some databases are of other moments."""
    last = past_of(sources["iam"])
    shutil.copytree(sources["iam"], made)
    known = {dump.database: dump for dump in last.dumps}
    files = dict(last.files)
    for name, source in sources.items():
        other = past_of(source)
        known[name] = next(dump for dump in other.dumps if dump.database == name)
        files[known[name].file] = other.files[known[name].file]
        shutil.copy(source / known[name].file, made / known[name].file)
    since = min(past_of(source).republish_since for source in sources.values())
    changed = msgspec.structs.replace(last, dumps=list(known.values()), files=files, republish_since=since)
    stored = manifest.encode(changed)
    (made / manifest.PLAIN).write_bytes(stored)
    (made / manifest.SUM).write_text(f"{hashlib.sha256(stored).hexdigest()}  {manifest.PLAIN}\n")


def past_of(kept: Path) -> manifest.Manifest:
    return manifest.decode((kept / manifest.PLAIN).read_bytes(), manifest.PLAIN)


class Keys:
    """Those of people's data, from iam's database, while iam does not run."""

    def __init__(self, kept: PersonKeys) -> None:
        self._kept = kept

    async def keys(self, persons: Sequence[str]) -> dict[str, bytes | None]:
        found = {}
        for item in (await self._kept.of_people(persons)).items:
            found[item.person] = base64.urlsafe_b64decode(item.key + "=") if item.key is not None else None
        return found

    def forget(self, person: str) -> None:
        """Nothing is remembered."""


@asynccontextmanager
async def telling(settings: Settings) -> AsyncIterator[None]:
    """The relay and both consumers, each with its own role's rights and no more."""
    learning, live, iam = (postgres.database(settings, name) for name in ("learning", "live", "iam"))
    buses = [PgmqBroker(databases.bus_url(settings, role)) for role in ("relay", "learning", "live")]
    sources = {owner: databases.relay_url(settings, owner) for owner in republishing.tellers()}
    watching = Consumer(
        name="live-from-learning", source="learning", handlers=[on(StudentEnrolled, enrolled)], database=live
    )
    async with (
        relaying(sources, buses[0], after=at_once),
        consuming(buses[1], [from_iam(learning, Keys(Iam(settings, iam).person_keys))]),
        consuming(buses[2], [watching]),
    ):
        yield
    for bus in buses:
        await bus.close()
    for database in (learning, live, iam):
        await database.close()


async def eventually(settings: Settings, database: str, sql: str, wanted: set[Any]) -> None:
    found: set[Any] = set()
    for _ in range(600):
        found = set(await asked(settings, database, sql))
        if found == wanted:
            return
        await asyncio.sleep(0.1)
    assert found == wanted


def without_outbox(tables: dict[str, Any]) -> dict[str, Any]:
    """A restore adds to the outbox what it publishes again."""
    return {name: table for name, table in tables.items() if name != "public.outbox"}


def secrets_of(data: Path) -> list[str]:
    return [path.read_text().strip() for path in (data / "secrets").iterdir()]


def mentioned(folder: Path, text: str, *, apart: str = "") -> list[str]:
    """Files that hold this text."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != apart]
    return [str(path) for path in found if text.encode() in path.read_bytes()]
