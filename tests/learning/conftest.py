"""A migrated `learning` database, and an instructor who writes courses into it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.learning.domain.courses import PersonId

from .classroom import Classroom, opened
from .school import School


@pytest.fixture
async def school(learning_database: Database) -> School:
    await migrate(learning_database, "learning")
    instructor = PersonId(ids.uuid7())
    await learning_database.fetch(
        "INSERT INTO person (id, name, email) VALUES ($1, '박서연', 'instructor@banyan.test')", instructor
    )
    return School(learning_database, instructor)


@pytest.fixture
async def classroom(school: School, tmp_path: Path) -> AsyncIterator[Classroom]:
    async with opened(school.database, tmp_path) as classroom:
        yield classroom
