"""Copies of people. iam's events may come late or again: the newest that was told counts, and erased is for good."""

from datetime import datetime

from banyan.infra.postgres import Connection
from banyan.learning.domain.courses import PersonId

NOBODY = "—"  # the name of whoever was erased, in every language

SAVE_PERSON = """
INSERT INTO person AS known (id, name, email, told_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, told_at = excluded.told_at
WHERE NOT known.erased AND (known.told_at IS NULL OR known.told_at < excluded.told_at)
"""
ERASE_PERSON = """
INSERT INTO person (id, name, told_at, erased) VALUES ($1, $2, $3, true)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = NULL, told_at = excluded.told_at, erased = true
"""


async def save(tx: Connection, person_id: PersonId, *, name: str, email: str, at: datetime) -> None:
    await tx.execute(SAVE_PERSON, person_id, name, email, at)


async def erase(tx: Connection, person_id: PersonId, *, at: datetime) -> None:
    """For good, and even before anything else was told of that person."""
    await tx.execute(ERASE_PERSON, person_id, NOBODY, at)
