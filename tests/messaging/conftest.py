"""A bus and the databases of two contexts, fresh for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from banyan.infra import migrations
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging.pgmq import PgmqBroker
from banyan.messaging.store.reading import Store
from tests.messaging.waiting import event_tables


@pytest.fixture
async def bus_url(postgres) -> str:
    url = postgres.url(await postgres.make_database())
    database = Database(url, size=1)
    await migrations.migrate(database, "bus")
    await database.close()
    return url


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[PgmqBroker]:
    broker = PgmqBroker(bus_url)
    yield broker
    await broker.close()


@pytest.fixture
async def iam_url(postgres) -> str:
    url = postgres.url(await postgres.make_database())
    database = Database(url, size=1)
    async with database.connection() as connection:
        await connection.execute(event_tables())
    await database.close()
    return url


@pytest.fixture
async def iam(iam_url: str) -> AsyncIterator[Database]:
    database = Database(iam_url, size=5)
    yield database
    await database.close()


@pytest.fixture
async def learning_url(postgres) -> str:
    return str(postgres.url(await postgres.make_database()))


@pytest.fixture
async def learning(learning_url: str) -> AsyncIterator[Database]:
    database = Database(learning_url, size=5)
    async with database.connection() as connection:
        await connection.execute(event_tables())
    yield database
    await database.close()


@pytest.fixture
def settings(learning: Database, learning_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a program that keeps the store of `learning`."""
    monkeypatch.setenv("BANYAN_LEARNING_DATABASE_URL", learning_url)
    return Settings.read({"BANYAN_DATA": str(tmp_path)})


@pytest.fixture
def store(settings: Settings, learning: Database) -> Store:
    return Store(settings, "learning", learning)
