"""The owner of what a consumer is rebuilt from, and looks at how far that is."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec

from banyan.contracts.events import StudentEnrolled
from banyan.contracts.messaging import EventPage, Rebuild, StoredEvent, WorkState
from banyan.infra.http_client import ServiceAway
from banyan.infra.postgres import Database, Row
from banyan.kit.ids import uuid7
from banyan.messaging import envelope
from banyan.messaging.consumers import Consumer
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.work.rebuilds import Rebuilds
from tests.messaging.waiting import until

NAME = "live-from-learning"
QUEUE = "live_from_learning"
SETTLED = timedelta(seconds=0.5)


class School:
    """The owner: courses, what it has told of them, and its answers about that."""

    def __init__(self, database: Database, broker: MemoryBroker) -> None:
        self.database = database
        self.broker = broker
        self.learners: dict[str, int] = {}
        self.away_after: int | None = None  # so many answers
        self._ids: dict[str, str] = {}

    async def enrol(self, slug: str, *, ahead: timedelta = timedelta()) -> UUID:
        """`ahead`: how wrong the clock is that its id is made by."""
        self.learners[slug] = count = self.learners.get(slug, 0) + 1
        course_id = self._ids.setdefault(slug, str(uuid4()))
        event = StudentEnrolled(
            enrolment_id=str(uuid4()),
            course_id=course_id,
            slug=slug,
            account_id=str(uuid4()),
            learners=count,
            at=datetime.now(UTC),
        )
        event_id = UUID(int=uuid7().int + (int(ahead.total_seconds() * 1000) << 80))
        await self.database.fetch(_TELL, event_id, event.TYPE, slug, envelope.data_of(event).decode())
        await self.publish(event_id)
        return event_id

    async def publish(self, event_id: UUID) -> None:
        row = await self.database.fetchrow("SELECT *, data::text AS json FROM event WHERE id = $1", event_id)
        assert row is not None
        told = envelope.of_row(
            event_id=row["id"], kind=row["type"], key=row["key"], data=row["json"], at=row["at"], request_id=None
        )
        await self.broker.publish([told])

    async def stream(self, *, types: list[str], after: int = 0, limit: int = 500) -> EventPage:
        await self._answer()
        rows = await self.database.fetch(
            "SELECT *, data::text AS json FROM event WHERE position > $1 AND type = ANY($2) ORDER BY position LIMIT $3",
            after,
            types,
            min(limit, 20),
        )
        return EventPage(
            items=[_stored(row) for row in rows], next=str(rows[-1]["position"]) if len(rows) == 20 else None
        )

    async def event(self, event_id: str) -> StoredEvent:
        await self._answer()
        row = await self.database.fetchrow("SELECT *, data::text AS json FROM event WHERE id = $1", UUID(event_id))
        assert row is not None
        return _stored(row)

    async def _answer(self) -> None:
        if self.away_after is not None:
            if self.away_after <= 0:
                raise ServiceAway
            self.away_after -= 1


_TELL = "INSERT INTO event (id, type, key, data, at) VALUES ($1, $2, $3, $4::jsonb, now())"


def _stored(row: Row) -> StoredEvent:
    return StoredEvent(
        id=str(row["id"]),
        type=row["type"],
        source="learning",
        key=row["key"],
        at=row["at"],
        position=row["position"],
        request_id=None,
        traceparent=None,
        data=msgspec.json.decode(row["json"]),
    )


def rebuilds_of(school: School, consumer: Consumer) -> Rebuilds:
    return Rebuilds(consumer.database, [consumer], owner=lambda _: school, settled=SETTLED)


async def shown(rebuilds: Rebuilds, begun: Rebuild) -> Rebuild:
    return next(one for one in (await rebuilds.latest()).items if one.id == begun.id)


async def over(rebuilds: Rebuilds, begun: Rebuild, *, seconds: float = 15) -> Rebuild:
    async def is_over() -> bool:
        return (await shown(rebuilds, begun)).state is not WorkState.RUNNING

    await until(is_over, seconds)
    return await shown(rebuilds, begun)


async def counts(live: Database) -> dict[str, int]:
    return {row["slug"]: row["learners"] for row in await live.fetch("SELECT slug, learners FROM course")}


async def heard(school: School, live: Database) -> None:
    async def all_of_it() -> bool:
        return await counts(live) == school.learners

    await until(all_of_it)


async def remembered(live: Database) -> set[UUID]:
    return {row["event_id"] for row in await live.fetch("SELECT event_id FROM inbox WHERE consumer = $1", NAME)}


async def told_of(school: School) -> set[UUID]:
    return {row["id"] for row in await school.database.fetch("SELECT id FROM event")}
