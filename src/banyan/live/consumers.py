"""What `live` hears of other services."""

from datetime import UTC, datetime

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Connection
from banyan.live import operations


async def enrolled(tx: Connection, event: StudentEnrolled) -> None:
    await operations.record(tx, event, now=datetime.now(UTC))
