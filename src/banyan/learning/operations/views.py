"""Who looks at which course. A look is a figure for statistics, so readers do not wait for it to be written."""

from datetime import datetime

import structlog

from banyan.contracts.events import CourseViewed
from banyan.infra.postgres import Database
from banyan.messaging import outbox

log = structlog.get_logger()

MOST_WAITING = 200


class Views:
    """Keeps views in memory and tells them together. A death loses those since the last time, and a rush those beyond
    MOST_WAITING, whose number is logged."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[CourseViewed] = []
        self._dropped = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def note(self, course_id: str, account_id: str | None, *, now: datetime) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(CourseViewed(course_id=course_id, account_id=account_id, at=now))
        else:
            self._dropped += 1

    async def tell(self) -> int:
        """Write the events of all views since the last time; answers how many. Raises DatabaseAway, and keeps them."""
        telling = list(self._waiting)
        if telling:
            async with self._database.transaction() as tx:
                for view in telling:
                    await outbox.add(tx, view)
        del self._waiting[: len(telling)]
        if self._dropped:
            log.warning("views not told", number=self._dropped)
            self._dropped = 0
        return len(telling)
