"""Copies of people. iam's events may come late or again: the newest that was told counts, and erased is for good."""

import uuid
from collections.abc import Sequence
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

COPY_PEOPLE = """
INSERT INTO person (id, name, email, told_at, erased)
SELECT id, coalesce(nullif(name, ''), $6), nullif(email, ''), told_at, erased
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::boolean[])
    AS told (id, name, email, told_at, erased)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email, told_at = excluded.told_at,
    erased = excluded.erased
"""
# A row that says more than the copy was told after the page of that copy was read; but no row is of the future.
ANEW_CHANGE = """
UPDATE person AS known SET name = built.name, email = built.email, told_at = built.told_at, erased = built.erased
FROM anew_learning_from_iam.person AS built
WHERE known.id = built.id
    AND (known.name, known.email, known.told_at, known.erased)
        IS DISTINCT FROM (built.name, built.email, built.told_at, built.erased)
    AND (known.told_at > built.told_at AND known.told_at BETWEEN $1 AND now() + interval '1 minute') IS NOT TRUE
"""
ANEW_ADD = """
INSERT INTO person (id, name, email, told_at, erased)
SELECT id, name, email, told_at, erased FROM anew_learning_from_iam.person AS built
WHERE NOT EXISTS (SELECT FROM person AS known WHERE known.id = built.id)
"""
# Who wrote a course stays, though iam knows nobody of that id.
ANEW_REMOVE = """
DELETE FROM person AS known
WHERE NOT EXISTS (SELECT FROM anew_learning_from_iam.person AS built WHERE built.id = known.id)
    AND (known.told_at BETWEEN $1 AND now() + interval '1 minute') IS NOT TRUE
    AND NOT EXISTS (SELECT FROM course WHERE instructor_id = known.id)
    AND NOT EXISTS (SELECT FROM publication WHERE published_by = known.id)
"""
_LONGEST_SECONDS = 60.0


async def save(tx: Connection, person_id: PersonId, *, name: str, email: str, at: datetime) -> None:
    await tx.execute(SAVE_PERSON, person_id, name, email, at)


async def copy(tx: Connection, people: Sequence[tuple[uuid.UUID, str, str, datetime, bool]]) -> None:
    if not people:
        return
    await tx.execute(COPY_PEOPLE, *(list(column) for column in zip(*people, strict=True)), NOBODY)


async def take_over(tx: Connection, *, since: datetime) -> None:
    """By difference: courses refer to people."""
    await tx.execute(ANEW_CHANGE, since, timeout=_LONGEST_SECONDS)
    await tx.execute(ANEW_ADD, timeout=_LONGEST_SECONDS)
    await tx.execute(ANEW_REMOVE, since, timeout=_LONGEST_SECONDS)


async def erase(tx: Connection, person_id: PersonId, *, at: datetime) -> None:
    """For good, and even before anything else was told of that person."""
    await tx.execute(ERASE_PERSON, person_id, NOBODY, at)
