"""Counts as they stand, and what the journal still has."""

from collections.abc import Sequence

from banyan.infra.postgres import Connection, Database
from banyan.live import domain
from banyan.live.domain import Count

LATEST = """
SELECT DISTINCT ON (slug) slug, position, learners FROM course WHERE slug = ANY($1) ORDER BY slug, position DESC
"""

SINCE = """
WITH watched AS (SELECT id FROM course WHERE slug = $1 ORDER BY position DESC LIMIT 1)
SELECT position, learners FROM journal WHERE course_id = (SELECT id FROM watched) AND position > $2
ORDER BY position LIMIT $3
"""


async def latest(connection: Connection, slugs: Sequence[str]) -> dict[str, Count]:
    """The count of each of these courses that has one."""
    rows = await connection.fetch(LATEST, slugs)
    return {row["slug"]: Count(row["position"], row["learners"]) for row in rows}


async def latest_of(database: Database, slug: str) -> Count | None:
    """Raises DatabaseAway."""
    async with database.connection() as connection:
        return (await latest(connection, [slug])).get(slug)


async def missed(database: Database, slug: str, *, after: int) -> tuple[Count | None, Sequence[Count]]:
    """A course's count, and what somebody who was told up to `after` has missed of it. Raises DatabaseAway."""
    async with database.connection() as connection:
        # The count first: what the journal gets between the two questions is a newer count, not a gap.
        now = (await latest(connection, [slug])).get(slug)
        rows = await connection.fetch(SINCE, slug, after, domain.LONGEST_REPLAY + 1)
    return now, domain.missed(after, now, [Count(row["position"], row["learners"]) for row in rows])
