"""A small business that tells of what it does: bookings on accounts, each with its account's next number.

Three consumers, each in a database of its own, write down what they hear. Who has booked knows what was committed; all
three must have heard exactly that.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

from banyan.contracts.events import LessonStarted
from banyan.infra.postgres import Connection, Database
from banyan.kit.errors import Unavailable
from banyan.kit.ids import uuid7
from banyan.messaging import outbox
from banyan.messaging.subscriptions import Subscription
from tests.messaging.waiting import event_tables

SUBSCRIPTIONS = tuple(
    Subscription(f"{name}-from-learning", "live", (LessonStarted,)) for name in ("counting", "writing", "watching")
)
NAMES = tuple(one.consumer for one in SUBSCRIPTIONS)

TELLING = """
CREATE TABLE account (key text PRIMARY KEY, number integer NOT NULL DEFAULT 0);
CREATE TABLE booking (id uuid PRIMARY KEY, key text NOT NULL REFERENCES account, number integer NOT NULL)
"""
HEARING = """
CREATE TABLE heard (place bigint GENERATED ALWAYS AS IDENTITY, booking text NOT NULL, key text NOT NULL,
    number integer NOT NULL);
CREATE TABLE balance (key text PRIMARY KEY, bookings integer NOT NULL)
"""


class ChangedMind(Exception):
    """The business aborts its transaction at the last moment."""


@dataclass(frozen=True, slots=True, order=True)
class Booking:
    key: str
    number: int
    id: str


@dataclass(slots=True)
class Known:
    """What the clients know. `in_doubt` were those whose COMMIT was not answered; they looked, and then knew."""

    committed: set[Booking] = field(default_factory=set)
    aborted: set[str] = field(default_factory=set)
    refused: int = 0
    in_doubt: int = 0


async def open_business(database: Database, *, keys: int) -> None:
    async with database.connection() as connection:
        await connection.execute(event_tables() + TELLING)
        await connection.execute("INSERT INTO account (key) SELECT 'k' || n FROM generate_series(1, $1) AS n", keys)


async def open_consumer(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute(event_tables() + HEARING)


Told: TypeAlias = Callable[[Booking], Awaitable[None]]


class Client:
    """One who books, and finds out whether that was done even where the answer is lost. `told`, if there is one, is
    awaited after each commit, as those do who have no outbox."""

    def __init__(
        self, database: Database, known: Known, dice: random.Random, *, keys: int, told: Told | None = None
    ) -> None:
        self._database = database
        self._told = told
        self._known = known
        self._dice = dice
        self._keys = keys

    async def book(self) -> None:
        """One more committed booking, however many tries that takes; about one try in ten is aborted on purpose."""
        while not await self.try_to_book():
            pass

    async def try_to_book(self) -> bool:
        booking, key = uuid7(), f"k{self._dice.randint(1, self._keys)}"
        changes_mind = self._dice.random() < 0.1
        number = None
        try:
            async with self._database.transaction() as tx:
                number = await _book(tx, booking, key)
                if changes_mind:
                    raise ChangedMind
        except ChangedMind:
            self._known.aborted.add(str(booking))
            return False
        except Unavailable:
            if number is None or not await self._was_committed(booking, key):
                self._known.refused += 1
                self._known.aborted.add(str(booking))
                await asyncio.sleep(self._dice.uniform(0.01, 0.1))
                return False
        done = Booking(key, number, str(booking))
        self._known.committed.add(done)
        if self._told is not None:
            await self._told(done)
        return True

    async def _was_committed(self, booking: UUID, key: str) -> bool:
        self._known.in_doubt += 1
        while True:
            try:
                async with self._database.transaction() as tx:
                    # Behind the account's lock: a session that lost us may still be at its COMMIT.
                    await tx.execute("SELECT FROM account WHERE key = $1 FOR UPDATE", key)
                    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM booking WHERE id = $1)", booking))
            except Unavailable:
                await asyncio.sleep(0.05)


async def _book(tx: Connection, booking: UUID, key: str) -> int:
    number: int = await tx.fetchval("UPDATE account SET number = number + 1 WHERE key = $1 RETURNING number", key)
    await tx.execute("INSERT INTO booking (id, key, number) VALUES ($1, $2, $3)", booking, key, number)
    event = LessonStarted(
        enrolment_id=key, course_id="", lesson_id=str(booking), account_id=str(number), at=datetime.now(UTC)
    )
    await outbox.add(tx, event)
    return number


async def hear(tx: Connection, event: LessonStarted) -> None:
    """What each consumer does: nothing in it notices a second time by itself."""
    key, number = event.enrolment_id, int(event.account_id)
    await tx.execute("INSERT INTO heard (booking, key, number) VALUES ($1, $2, $3)", event.lesson_id, key, number)
    await tx.execute(
        "INSERT INTO balance VALUES ($1, 1) ON CONFLICT (key) DO UPDATE SET bookings = balance.bookings + 1", key
    )


async def heard_by(database: Database) -> list[Booking]:
    """In the order in which it had its effects."""
    rows = await database.fetch("SELECT key, number, booking FROM heard ORDER BY place")
    return [Booking(row["key"], row["number"], row["booking"]) for row in rows]


async def check_business(database: Database, known: Known) -> None:
    """The clients know exactly what is there, and each of it has its event."""
    rows = await database.fetch("SELECT key, number, id FROM booking")
    there = {Booking(row["key"], row["number"], str(row["id"])) for row in rows}
    assert there == known.committed, f"{len(there - known.committed)} unknown, {len(known.committed - there)} gone"
    told = Counter(row["booking"] for row in await database.fetch("SELECT data->>'lesson_id' AS booking FROM event"))
    assert told == Counter(booking.id for booking in known.committed), (
        "each booking has one event, and nothing else has"
    )


async def check_consumer(database: Database, known: Known) -> None:
    """All of what was committed, once, each account's in its order; and nothing else."""
    heard = await heard_by(database)
    by_id = Counter(booking.id for booking in heard)
    assert not known.aborted & set(by_id), "an aborted booking was heard of"
    assert set(heard) == known.committed, f"{len(known.committed - set(heard))} bookings are lost"
    assert len(heard) == len(by_id), f"{len(heard) - len(by_id)} effects are doubled"
    balances = {row["key"]: row["bookings"] for row in await database.fetch("SELECT key, bookings FROM balance")}
    for key in {booking.key for booking in heard}:
        numbers = [booking.number for booking in heard if booking.key == key]
        assert numbers == list(range(1, len(numbers) + 1)), f"{key} was heard of in the order {numbers}"
        assert balances[key] == len(numbers)
    dead = await database.fetch("SELECT state, error FROM dead_letter")
    assert not dead, f"nothing was at fault but the world outside, but: {dead}"
