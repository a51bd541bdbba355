"""Events of courses, a consumer whose handler does as a test says, and a broker that can be told to be odd."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Connection, Database
from banyan.kit.ids import uuid7
from banyan.messaging import Consumer, envelope, on
from banyan.messaging.consumers import Pace
from banyan.messaging.envelope import Envelope
from banyan.messaging.memory import MemoryBroker, _Queued
from banyan.messaging.subscriptions import SUBSCRIPTIONS, subscription_of

NAME = "live-from-learning"
QUEUE = subscription_of(NAME).queue
BRISK = Pace(hold=1.0, first_retry=0.02, longest_retry=0.1, poll=0.05, attempts=3, handling=5.0)

Act = Callable[[Connection, StudentEnrolled], Awaitable[None]]


class OddBroker(MemoryBroker):
    """With what no publisher of ours would send."""

    async def put(self, body: bytes, *, key: str = "k", attempts: int = 0) -> None:
        self._last += 1
        now = self._clock()
        self._queues[QUEUE][self._last] = _Queued(key, body, now, now, attempts)
        for signal in self._signals[QUEUE]:
            signal.set()

    async def waiting(self) -> int:
        return (await self.depth(QUEUE)).waiting


async def broker() -> OddBroker:
    made = OddBroker()
    await made.declare(SUBSCRIPTIONS)
    return made


def told(key: str, number: int, *, kind: str = StudentEnrolled.TYPE, event_id: UUID | None = None) -> Envelope:
    event = StudentEnrolled(
        enrolment_id="e", course_id=key, slug="s", account_id="p", learners=number, at=datetime.now(UTC)
    )
    data = envelope.data_of(event).decode()
    made = envelope.of_row(
        event_id=event_id or uuid7(), kind=event.TYPE, key=key, data=data, at=event.at, request_id="r-1"
    )
    # Of a type that nobody has here, too.
    return replace_type(made, kind)


def replace_type(told: Envelope, kind: str) -> Envelope:
    return envelope.decode(envelope.encode(told).replace(told.type.encode(), kind.encode()))


async def make_seen(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "CREATE TABLE seen (n bigint GENERATED ALWAYS AS IDENTITY, key text, number integer, UNIQUE (key, number))"
        )


async def note(tx: Connection, event: StudentEnrolled) -> None:
    await tx.execute("INSERT INTO seen (key, number) VALUES ($1, $2)", event.course_id, event.learners)


async def seen(database: Database, key: str | None = None) -> list[int]:
    rows = await database.fetch("SELECT number FROM seen WHERE $1::text IS NULL OR key = $1 ORDER BY n", key)
    return [row["number"] for row in rows]


def consumer(database: Database, act: Act | None = None, *, pace: Pace = BRISK, **more: object) -> Consumer:
    """`act` comes before the note: when it raises there is none."""

    async def handle(tx: Connection, event: StudentEnrolled) -> None:
        if act is not None:
            await act(tx, event)
        await note(tx, event)

    paced = replace(pace, **more)  # type: ignore[arg-type] # the names are Pace's own
    return Consumer(name=NAME, source="learning", handlers=[on(StudentEnrolled, handle)], database=database, pace=paced)


def failing(*numbers: int) -> Act:
    async def act(_: Connection, event: StudentEnrolled) -> None:
        if event.learners in numbers:
            raise RuntimeError(f"cannot handle number {event.learners}")

    return act


def failing_of(key: str, *numbers: int) -> Act:
    only = failing(*numbers)

    async def act(tx: Connection, event: StudentEnrolled) -> None:
        if event.course_id == key:
            await only(tx, event)

    return act


async def letters(database: Database) -> list[tuple[str, str, int]]:
    """(key, state, attempts) in their order."""
    rows = await database.fetch("SELECT key, state, attempts FROM dead_letter ORDER BY id")
    return [tuple(row) for row in rows]  # type: ignore[misc] # of these three


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def until_letters(database: Database, number: int) -> None:
    async def there() -> bool:
        return len(await letters(database)) == number

    await until(there)


async def until_seen(database: Database, number: int) -> None:
    async def there() -> bool:
        return len(await seen(database)) == number

    await until(there)
