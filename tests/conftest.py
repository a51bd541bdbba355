"""Fixtures every test may use: a real PostgreSQL server and empty databases on it."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.postgres import Database
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from tests.ministack import ministack


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Short, unlike pytest's own, so that sockets fit into it and nothing is left beside it."""
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes name no test: those of an archive hold the time of its making, and each worker must find the same names."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that take minutes evenly: side by side they would take the machine from each other, and a worker
    that begins one at the end keeps everybody waiting."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    places: list[tuple[float, Path]] = []
    for long in (True, False):
        kind = [file for file in files if bool(_LONG & set(file.parts)) is long]
        places += [(number / len(kind), file) for number, file in enumerate(kind)]
    items[:] = [item for _, file in sorted(places) for item in files[file]]


_LONG = {"shipping", "docs", "processes", "journeys"}
NO_SKIP = os.environ.get("BANYAN_NO_SKIP") == "1"
SERVER = Server("test", 5599, ())


def need(program: str) -> str:
    """The path of a program the test needs; skips with the reason, or fails where skipping is forbidden."""
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not installed"
        if NO_SKIP:
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Postgres:
    """A running embedded server; `url(database)` connects as its superuser."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def url(self, database: str) -> str:
        password = secret(self.settings.secrets, f"postgres-{SERVER.name}-superuser")
        return databases.embedded_url(self.settings, SERVER, database, embedded.SUPERUSER, password)

    async def make_database(self) -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()
        return name


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="by-", dir="/tmp"))
    settings = Settings.read({"BANYAN_DATA": str(folder)})
    settings.make_folders()
    rights = embedded.privileges(settings)
    embedded.initialise(settings, SERVER, rights)
    log = (folder / "server.log").open("wb")
    command = [*embedded.command(settings, SERVER, rights), "-c", "fsync=off", "-c", "max_connections=100"]
    server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd="/")
    try:
        _wait_until_up(settings, server)
        yield Postgres(settings)
    finally:
        server.send_signal(signal.SIGQUIT)  # nobody wants its last checkpoint
        server.wait(timeout=60)
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_up(settings: Settings, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            asyncio.run(embedded.probe(settings, SERVER))
            return
        except (OSError, asyncpg.PostgresError, TimeoutError):
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The URL of a server that speaks S3, SNS and SQS; `tests.ministack.environ` tells a process of it."""
    with ministack("s3", "sns", "sqs", "sts") as url:
        yield url


async def _empty_database(postgres: Postgres) -> AsyncIterator[Database]:
    name = await postgres.make_database()
    database = Database(postgres.url(name), size=5)
    yield database
    await database.close()


@pytest.fixture
async def learning_database(postgres: Postgres) -> AsyncIterator[Database]:
    async for database in _empty_database(postgres):
        yield database


@pytest.fixture
async def gateway_database(postgres: Postgres) -> AsyncIterator[Database]:
    async for database in _empty_database(postgres):
        yield database
