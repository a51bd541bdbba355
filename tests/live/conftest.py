"""An empty `live` database, and processes on it that end with the test."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database
from tests.conftest import Postgres

from .living import Process, School

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def database_url(postgres: Postgres) -> str:
    return postgres.url(await postgres.make_database())


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, size=3)
    await migrate(database, "live")
    yield database
    await database.close()


@pytest.fixture
def school(database: Database) -> School:
    return School(database)


@pytest.fixture
async def start(database_url: str) -> AsyncIterator[Start]:
    processes: list[Process] = []

    async def start_one(**settings: str) -> Process:
        processes.append(Process(database_url, **settings))
        return await processes[-1].start()

    yield start_one
    for process in processes:
        process.end()
