"""Failing, parking, redriving and discarding under any interleaving of crash, redelivery, duplicate, delay and pause:
two processes of one consumer, on real transactions, with a broker and a clock that the test holds in its hands."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banyan.contracts.events import StudentEnrolled
from banyan.contracts.messaging import DeadChoice
from banyan.infra.postgres import Connection, Database
from banyan.kit.ids import uuid7
from banyan.messaging import Consumer, envelope, on
from banyan.messaging.broker import Delivery
from banyan.messaging.consumers import Consuming, Pace
from banyan.messaging.envelope import Envelope
from banyan.messaging.letters import choosing, pauses
from banyan.messaging.letters.choosing import BeingTried
from banyan.messaging.letters.looking import DeadLetterUnknown
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.subscriptions import SUBSCRIPTIONS, subscription_of
from tests.messaging.waiting import event_tables

NAME = "live-from-learning"
QUEUE = subscription_of(NAME).queue
KEYS = ("a", "b")
HOLD = 10.0
PACE = Pace(attempts=2, hold=HOLD, first_retry=1.0, longest_retry=2.0, together=4)


class Killed(BaseException):
    """kill -9, as far as a transaction can tell."""


@dataclass
class Process:
    """One that may die: then what it had borrowed comes back when its loans end."""

    running: Consuming
    hands: list[list[Delivery]] = field(default_factory=list)


@dataclass
class World:
    learning: Database
    time: float = 0.0
    told: list[Envelope] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)
    discarded: set[int] = field(default_factory=set)
    dies_at: int | None = None  # so many more calls of the handler
    stands: tuple[asyncio.Event, asyncio.Event] | None = None
    paused: bool = False

    async def play(self, steps: Sequence[tuple[str, ...]]) -> None:
        async with self.learning.connection() as connection:
            await connection.execute("TRUNCATE inbox, seen, dead_letter, stuck_key, consumer")
        self.broker = MemoryBroker(clock=lambda: self.time)
        await self.broker.declare(SUBSCRIPTIONS)
        handler = on(StudentEnrolled, self.note)
        self.consumer = Consumer(name=NAME, source="learning", handlers=[handler], database=self.learning, pace=PACE)
        self.processes = [self.process(), self.process()]
        for name, *arguments in steps:
            await getattr(self, name)(*arguments)
            await self.check()
        await self.settle()
        assert await self.effects() == {key: self.expected(key) for key in KEYS}

    def process(self) -> Process:
        return Process(Consuming(self.broker, self.consumer))

    async def note(self, tx: Connection, event: StudentEnrolled) -> None:
        await tx.execute("INSERT INTO seen (key, number) VALUES ($1, $2)", event.course_id, event.learners)
        if self.stands is not None:
            (begun, go), self.stands = self.stands, None
            begun.set()
            await go.wait()
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at < 0:
                raise Killed
        if event.learners in self.broken:
            raise RuntimeError("broken")

    async def check(self) -> None:
        for key, numbers in (await self.effects()).items():
            assert numbers == self.expected(key)[: len(numbers)]

    def expected(self, key: str) -> list[int]:
        return [number_of(one) for one in self.told if one.subject == key and number_of(one) not in self.discarded]

    async def effects(self) -> dict[str, list[int]]:
        rows = await self.learning.fetch("SELECT key, number FROM seen ORDER BY n")
        return {key: [row["number"] for row in rows if row["key"] == key] for key in KEYS}

    async def settle(self) -> None:
        """Everything is mended; then it must come to rest by itself and with what an operator does."""
        self.broken.clear()
        self.dies_at = self.stands = None
        await self.resume()
        for round_ in range(100):
            await self.pass_time(HOLD + 1)
            await choosing.redrive(self.learning, DeadChoice(all=True))
            for which in (0, 1):
                await self.read(which, 5)
                await self.work(which, "well")
                await self.redrive_due(which, "well")
                await self.acknowledge(which)
            left = await self.learning.fetchval("SELECT count(*) FROM stuck_key")
            if round_ and not left and not (await self.broker.depth(QUEUE)).waiting:
                return
        raise AssertionError("it never came to rest")

    # the steps

    async def tell(self, key: str) -> None:
        number = len(self.told)
        event = StudentEnrolled(
            enrolment_id="e", course_id=key, slug="s", account_id="p", learners=number, at=datetime.now(UTC)
        )
        data = envelope.data_of(event).decode()
        told = envelope.of_row(event_id=uuid7(), kind=event.TYPE, key=key, data=data, at=event.at, request_id=None)
        self.told.append(told)
        await self.broker.publish([told])

    async def tell_again(self, place: int) -> None:
        if self.told:
            await self.broker.publish([self.told[place % len(self.told)]])

    async def break_(self, place: int) -> None:
        self.broken.add(place % (len(self.told) or 1))

    async def mend(self) -> None:
        self.broken.clear()

    async def read(self, which: int, seats: int) -> None:
        process = self.processes[which]
        await process.running.standing.look(count=False)
        assert process.running.standing.is_open is not self.paused
        if process.running.standing.is_open:
            lent = await self.broker.read(QUEUE, seats=seats, hold=HOLD)
            process.running.loans.take(lent)
            process.hands.append(lent)

    async def work(self, which: int, how: str) -> None:
        process = self.processes[which]
        hands, process.hands = process.hands, []
        for bundle in hands:
            if not await self.or_die(which, how, partial(process.running.work.some, bundle)):
                return

    async def redrive_due(self, which: int, how: str) -> None:
        process = self.processes[which]
        await process.running.standing.look(count=False)
        await self.or_die(which, how, process.running.redriver.redrive_due)

    async def or_die(self, which: int, how: str, what: Callable[[], Awaitable[object]]) -> bool:
        """It dies at some call of the handler, which rolls back, or right after its commit."""
        self.dies_at = {"dies at once": 0, "dies later": 2}.get(how)
        try:
            await what()
        except Killed:
            how = "died"
        self.dies_at = None
        if how != "well":
            self.processes[which] = self.process()
        return how == "well"

    async def acknowledge(self, which: int) -> None:
        await self.processes[which].running.loans.acknowledge_now()

    async def overtake(self, doing: tuple[str, ...]) -> None:
        """One process stands still in the middle of its transaction, until its loans have ended and something else has
        been begun."""
        if not any(self.processes[0].hands):
            await self.read(0, 3)
        begun, go = asyncio.Event(), asyncio.Event()
        self.stands = (begun, go)
        standing = asyncio.create_task(self.work(0, "well"))
        finished = asyncio.create_task(begun.wait())
        await asyncio.wait([standing, finished], return_when=asyncio.FIRST_COMPLETED)
        finished.cancel()
        self.stands = None
        await self.pass_time(HOLD + 1)
        if doing[0] == "work":
            await self.read(1, 3)
        overtaking = asyncio.create_task(getattr(self, doing[0])(*doing[1:]))
        await asyncio.wait([overtaking], timeout=0.01)
        go.set()
        await asyncio.gather(standing, overtaking)

    async def redrive(self) -> None:
        await choosing.redrive(self.learning, DeadChoice(all=True))

    async def discard(self, place: int) -> None:
        rows = await self.learning.fetch("SELECT id, event_id FROM dead_letter ORDER BY id")
        if not rows:
            return
        row = rows[place % len(rows)]
        with suppress(BeingTried, DeadLetterUnknown):
            await choosing.discard(self.learning, DeadChoice(id=row["id"]))
            self.discarded.update(number_of(one) for one in self.told if one.id == str(row["event_id"]))

    async def pause(self) -> None:
        self.paused = True
        await pauses.pause(self.learning, NAME, by="op")

    async def resume(self) -> None:
        self.paused = False
        await pauses.resume(self.learning, NAME)

    async def pass_time(self, seconds: float) -> None:
        self.time += seconds


def number_of(told: Envelope) -> int:
    return int(told.data["learners"])


keys, seats, places, which = st.sampled_from(KEYS), st.integers(1, 4), st.integers(0, 9), st.integers(0, 1)
hows = st.sampled_from(["well", "well", "well", "dies at once", "dies later", "dies after it"])
telling = st.one_of(
    st.tuples(st.just("tell"), keys),
    st.tuples(st.just("tell"), keys),
    st.tuples(st.just("tell_again"), places),
    st.tuples(st.just("break_"), places),
)
working = st.one_of(
    st.tuples(st.just("work"), which, hows),
    st.tuples(st.just("redrive_due"), which, hows),
)
handling = st.one_of(
    st.tuples(st.just("read"), which, seats),
    working,
    st.tuples(st.just("overtake"), st.one_of(working, st.tuples(st.just("discard"), places))),
    st.tuples(st.just("acknowledge"), which),
    st.tuples(st.just("pass_time"), st.sampled_from([3.0, HOLD + 1])),
)
deciding = st.one_of(
    st.tuples(st.just("redrive")),
    st.tuples(st.just("discard"), places),
    st.tuples(st.just("mend")),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
)


def trying(which: int, how: str, seats: int) -> list[tuple[object, ...]]:
    """As often as it takes until something broken is in the dead letters."""
    once: list[tuple[object, ...]] = [("pass_time", 3.0), ("read", which, seats), ("work", which, "well")]
    return [*once, *once, ("read", which, seats), ("work", which, how), ("acknowledge", which)]


rounds = st.tuples(
    st.lists(telling, min_size=1, max_size=5),
    st.one_of(st.just([]), st.builds(trying, which, hows, seats)),
    st.lists(handling, max_size=5),
    st.lists(deciding, max_size=2),
    st.lists(handling, max_size=3),
).map(lambda parts: [step for part in parts for step in part])


def test_each_event_has_its_effect_once_and_in_order_whatever_is_dead_meanwhile(postgres) -> None:
    with asyncio.Runner() as runner:
        learning = Database(postgres.url(runner.run(postgres.make_database())), size=8)

        async def make() -> None:
            async with learning.connection() as connection:
                await connection.execute(event_tables())
                await connection.execute(
                    "CREATE TABLE seen (n bigint GENERATED ALWAYS AS IDENTITY, key text, number integer)"
                )

        runner.run(make())

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(st.lists(rounds, min_size=1, max_size=4))
        def any_interleaving(chosen: list[list[tuple[str, ...]]]) -> None:
            runner.run(World(learning).play([step for one in chosen for step in one]))

        any_interleaving()
        runner.run(learning.close())
