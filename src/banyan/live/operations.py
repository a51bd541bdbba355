"""What changes the counts."""

from datetime import datetime, timedelta
from uuid import UUID

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Connection, Database
from banyan.live import domain, store

_AT_ONCE = 10_000


async def record(tx: Connection, event: StudentEnrolled, *, now: datetime) -> None:
    """Note how many learners the course has now, in the caller's transaction; its commit tells every live process."""
    await store.record(
        tx,
        course_id=UUID(event.course_id),
        slug=event.slug,
        learners=event.learners,
        at=event.at,
        falls_after=domain.FALLS_AFTER,
        now=now,
        keep=domain.LONGEST_REPLAY,
    )


async def prune(database: Database, *, older_than: timedelta, now: datetime) -> int:
    """Forget what the journal has kept for long enough; answers how many positions. Raises DatabaseAway."""
    forgotten = 0
    while True:
        async with database.transaction() as tx:
            some = await store.prune(tx, before=now - older_than, most=_AT_ONCE)
        forgotten += some
        if some < _AT_ONCE:
            return forgotten
