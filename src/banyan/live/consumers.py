"""What `live` hears of other services."""

from datetime import UTC, datetime

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Connection, Database
from banyan.live import operations
from banyan.messaging.consumers import Consumer, on
from banyan.messaging.rebuilding import FromStore


def from_learning(database: Database) -> Consumer:
    """Keeps the number of learners of each course."""
    return Consumer(
        name="live-from-learning",
        source="learning",
        handlers=[on(StudentEnrolled, enrolled)],
        database=database,
        rebuild=FromStore(tables=("course", "journal"), swap=take_over, handlers={StudentEnrolled: enrolled_anew}),
    )


async def enrolled(tx: Connection, event: StudentEnrolled) -> None:
    await operations.record(tx, event, now=datetime.now(UTC))


async def enrolled_anew(tx: Connection, event: StudentEnrolled) -> None:
    await operations.record_anew(tx, event, now=datetime.now(UTC))


async def take_over(tx: Connection, _: datetime) -> None:
    await operations.take_over(tx, now=datetime.now(UTC))
