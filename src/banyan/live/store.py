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

# The new counts take the place of the old ones. A course whose count was wrong is told of at a position that nobody
# has been told of, and so are all that have had its address: the last position of an address is what counts.
ANEW_FORGET = """
DELETE FROM journal WHERE NOT EXISTS (
    SELECT FROM course JOIN anew_live_from_learning.course AS built USING (id, slug, learners, at)
    WHERE course.id = journal.course_id
)
"""
ANEW_REMOVE = "DELETE FROM course WHERE NOT EXISTS (SELECT FROM anew_live_from_learning.course WHERE id = course.id)"
ANEW_SWAP = """
WITH differing AS (
    SELECT known.slug AS old, built.slug AS new
    FROM anew_live_from_learning.course AS built LEFT JOIN course AS known USING (id)
    WHERE (known.slug, known.learners, known.at) IS DISTINCT FROM (built.slug, built.learners, built.at)
), told AS (
    SELECT old AS slug FROM differing UNION SELECT new FROM differing
), reached AS (
    SELECT coalesce(max(position), 0) AS position FROM course
), moved AS (
    INSERT INTO course (id, slug, learners, position, at)
    SELECT built.id, built.slug, built.learners, reached.position + built.position, built.at
    FROM anew_live_from_learning.course AS built, reached WHERE built.slug IN (SELECT slug FROM told)
    ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, learners = excluded.learners,
        position = excluded.position, at = excluded.at
    RETURNING id, slug, learners, position
), kept AS (
    INSERT INTO journal (course_id, position, learners, kept_at) SELECT id, position, learners, $1 FROM moved
)
SELECT count(pg_notify($2, json_build_array(slug, position, learners)::text)) FROM moved
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
    channel: str = CHANNEL,
) -> int | None:
    """Note a course's count and announce it at the commit; answers its position, or None for one that came late."""
    row = await tx.fetchrow(RECORD, course_id, slug, learners, at, falls_after, now, keep, channel)
    return None if row is None else int(row["position"])


async def take_over(tx: Connection, *, now: datetime) -> int:
    """Make the counts those that were built anew, and announce what that changes; answers how many."""
    await tx.execute(ANEW_FORGET)
    await tx.execute(ANEW_REMOVE)
    return int(await tx.fetchval(ANEW_SWAP, now, CHANNEL))


async def prune(tx: Connection, *, before: datetime, most: int) -> int:
    """Forget positions that were kept before then; answers how many."""
    done = await tx.execute(PRUNE, before, most)
    return int(done.rsplit(" ", 1)[1])
