"""A migrated `learning` database, and an instructor who writes courses into it."""

import pytest

from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.learning.domain import PersonId

from .school import School


@pytest.fixture
async def school(learning_database: Database) -> School:
    await migrate(learning_database, "learning")
    instructor = PersonId(ids.uuid7())
    await learning_database.fetch(
        "INSERT INTO person (id, name, email) VALUES ($1, '박서연', 'instructor@banyan.test')", instructor
    )
    return School(learning_database, instructor)
