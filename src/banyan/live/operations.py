"""What changes the counts."""

from datetime import datetime, timedelta
from uuid import UUID

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Connection, Database
from banyan.live import domain, store

_AT_ONCE = 10_000
_NOBODY_LISTENS = "nobody"


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


async def record_anew(tx: Connection, event: StudentEnrolled, *, now: datetime) -> None:
    """As `record`, into counts that nobody sees yet: nothing is announced."""
    await store.record(
        tx,
        course_id=UUID(event.course_id),
        slug=event.slug,
        learners=event.learners,
        at=event.at,
        falls_after=domain.FALLS_AFTER,
        now=now,
        keep=domain.LONGEST_REPLAY,
        channel=_NOBODY_LISTENS,
    )


async def take_over(tx: Connection, *, now: datetime) -> None:
    """The counts that were built anew are those that are shown from now on."""
    await store.take_over(tx, now=now)


async def prune(database: Database, *, older_than: timedelta, now: datetime) -> int:
    """Forget what the journal has kept for long enough; answers how many positions. Raises DatabaseAway."""
    forgotten = 0
    while True:
        async with database.transaction() as tx:
            some = await store.prune(tx, before=now - older_than, most=_AT_ONCE)
        forgotten += some
        if some < _AT_ONCE:
            return forgotten
