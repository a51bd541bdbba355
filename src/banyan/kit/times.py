"""Times as somebody may write them, made into what every database and every calculation can take."""

from datetime import UTC, datetime

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


def bounded(at: datetime | None) -> datetime | None:
    """Without an offset it is UTC. Nothing of ours happened near the ends of the calendar, where an hour more or
    another offset is no time any more."""
    if at is None:
        return None
    return min(max(at if at.tzinfo is not None else at.replace(tzinfo=UTC), EARLIEST), LATEST)
