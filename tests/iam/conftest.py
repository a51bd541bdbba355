"""A migrated `iam` database, and iam's application on it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.processes import iam
from tests.conftest import Postgres

from .people import House


@pytest.fixture
async def iam_database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.url(await postgres.make_database()), size=8)
    yield database
    await database.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    told = Settings.read({"BANYAN_DATA": str(tmp_path)})
    told.make_folders()
    return replace(told, demo=True, mail_poll=0.02, attempts_address=30, public_url="http://banyan.example")


@pytest.fixture
async def house(iam_database: Database, settings: Settings) -> AsyncIterator[House]:
    """iam, prepared but without the demo's people."""
    made = iam.Iam(settings, iam_database)
    await iam.prepare(iam_database, made.signing, demo=False)
    opened = House(settings, iam_database, made)
    yield opened
    await opened.close()
    made.passwords.close()
