"""Counts and their journal, in SQL."""

from datetime import datetime, timedelta
from uuid import UUID

from banyan.infra.postgres import Connection
from banyan.live.adapters import CHANNEL

# One statement and so one round trip: the consumer's pace is this. The course's row lock orders the positions.
RECORD = """
WITH reached AS (
    SELECT coalesce(max(position), 0) AS position FROM course WHERE slug = $2
), moved AS (
    INSERT INTO course (id, slug, learners, position, at)
    SELECT $1::uuid, $2::text, $3::integer, reached.position + 1, $4::timestamptz FROM reached
    ON CONFLICT (id) DO UPDATE SET
        slug = excluded.slug,
        learners = excluded.learners,
        position = greatest(course.position, (SELECT position FROM reached)) + 1,
        at = greatest(course.at, excluded.at)
    WHERE excluded.learners > course.learners OR excluded.at > course.at + $5::interval
    RETURNING id, slug, learners, position
), kept AS (
    INSERT INTO journal (course_id, position, learners, kept_at)
    SELECT id, position, learners, $6 FROM moved
), forgotten AS (
    DELETE FROM journal USING moved
    WHERE journal.course_id = $1 AND journal.position <= moved.position - $7
)
SELECT position, pg_notify($8, json_build_array(slug, position, learners)::text) FROM moved
"""

PRUNE = """
DELETE FROM journal WHERE (course_id, position) IN (
    SELECT course_id, position FROM journal WHERE kept_at < $1 LIMIT $2
)
"""


async def record(
    tx: Connection,
    *,
    course_id: UUID,
    slug: str,
    learners: int,
    at: datetime,
    falls_after: timedelta,
    now: datetime,
    keep: int,
) -> int | None:
    """Note a course's count and announce it at the commit; answers its position, or None for one that came late."""
    row = await tx.fetchrow(RECORD, course_id, slug, learners, at, falls_after, now, keep, CHANNEL)
    return None if row is None else int(row["position"])


async def prune(tx: Connection, *, before: datetime, most: int) -> int:
    """Forget positions that were kept before then; answers how many."""
    done = await tx.execute(PRUNE, before, most)
    return int(done.rsplit(" ", 1)[1])
