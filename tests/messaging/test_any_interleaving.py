"""Outbox, relay and inbox under any interleaving of crash, redelivery and delay: real code on real transactions, with
a broker and a clock that the test holds in its hands."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banyan.contracts.events import AccountErased, AccountRegistered, PersonalData, ProfileChanged
from banyan.infra.postgres import Connection, Database
from banyan.messaging import Consumer, on, outbox, relay
from banyan.messaging.broker import Delivery
from banyan.messaging.consumers import applying
from banyan.messaging.consumers.reading import read
from banyan.messaging.envelope import Envelope
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.subscriptions import SUBSCRIPTIONS, subscription_of
from tests.messaging.persons import Persons, seal_of
from tests.messaging.waiting import event_tables

NAME = "learning-from-iam"
QUEUE = subscription_of(NAME).queue
KEYS = ("a", "b")
HOLD = 10.0


class Crash(Exception):
    pass


class CrashingBroker(MemoryBroker):
    crash: str | None = None

    async def publish(self, envelopes: Sequence[Envelope], *, queue: str | None = None) -> None:
        crash, self.crash = self.crash, None
        if crash == "before publishing":
            raise Crash
        await super().publish(envelopes, queue=queue)
        if crash == "after publishing":
            raise Crash


@dataclass
class World:
    iam: Database
    learning: Database
    iam_url: str
    time: float = 0.0
    committed: dict[str, list[int]] = field(default_factory=dict)
    told: int = 0

    @classmethod
    async def make(cls, postgres) -> "World":
        iam_url = postgres.url(await postgres.make_database())
        world = cls(Database(iam_url, size=5), Database(postgres.url(await postgres.make_database()), size=5), iam_url)
        tables = event_tables()
        async with world.iam.connection() as iam, world.learning.connection() as learning:
            await iam.execute(tables)
            await learning.execute(tables)
            await learning.execute(
                "CREATE TABLE seen (n bigint GENERATED ALWAYS AS IDENTITY, key text, number integer)"
            )
        return world

    async def close(self) -> None:
        await self.iam.close()
        await self.learning.close()

    async def play(self, steps: Sequence[tuple[str, ...]]) -> None:
        async with self.iam.connection() as iam, self.learning.connection() as learning:
            await iam.execute("SET session_replication_role = replica; TRUNCATE event, outbox; RESET ALL")
            await learning.execute("TRUNCATE inbox, seen")
        self.committed, self.told, self.time = {key: [] for key in KEYS}, 0, 0.0
        self.broker = CrashingBroker(clock=lambda: self.time)
        await self.broker.declare(SUBSCRIPTIONS)
        for name, *arguments in steps:
            await getattr(self, name)(*arguments)
            await self.check()
        await self.settle()
        assert await self.effects() == self.committed
        assert await self.iam.fetchval("SELECT count(*) FROM event") == sum(map(len, self.committed.values()))

    async def check(self) -> None:
        for key, numbers in (await self.effects()).items():
            assert numbers == self.committed[key][: len(numbers)]

    async def effects(self) -> dict[str, list[int]]:
        rows = await self.learning.fetch("SELECT key, number FROM seen ORDER BY n")
        return {key: [row["number"] for row in rows if row["key"] == key] for key in KEYS}

    async def settle(self) -> None:
        for _ in range(200):
            await self.move("no crash")
            await self.pass_time(HOLD + 1)
            if not await self.read_and("handle", 5) and not await self.iam.fetchval("SELECT count(*) FROM outbox"):
                return
        raise AssertionError("it never came to rest")

    # the steps

    async def tell(self, key: str, end: str) -> None:
        with suppress(Crash):
            async with self.iam.transaction() as tx:
                await self._add(tx, key)
                if end == "abort":
                    raise Crash
            self.committed[key].append(self.told)

    async def tell_overtaken(self, first: str, second: str) -> None:
        """The one that draws its positions first commits last, and the relay looks in between."""
        if first == second:
            return
        async with self.iam.transaction() as early:
            await self._add(early, first)
            number = self.told
            await self.tell(second, "commit")
            await self.move("no crash")
        self.committed[first].append(number)

    async def move(self, crash: str) -> None:
        session = relay.Session(self.iam_url, self.broker)
        await session.open()
        await session.become_the_only_one()
        self.broker.crash = crash if crash != "no crash" else None
        with suppress(Crash):
            await session.move()
        session.end()
        self.broker.crash = None

    async def read_and(self, then: str, seats: int) -> int:
        lent = await self.broker.read(QUEUE, seats=seats, hold=HOLD)
        for delivery in lent:
            with suppress(Crash):
                await self._apply([delivery], fails=then == "crash before the commit")
                if then != "crash after the commit":
                    await self.broker.delete(QUEUE, [delivery.receipt])
                    continue
            break  # a crash: whatever else it held comes back when the loans end
        return len(lent)

    async def read_and_handle_together(self, seats: int) -> None:
        if lent := await self.broker.read(QUEUE, seats=seats, hold=HOLD):
            await self._apply(lent)
            await self.broker.delete(QUEUE, [delivery.receipt for delivery in lent])

    async def be_overtaken(self, seats: int) -> None:
        """A consumer that stands still in the middle of its transaction until another has been lent the same."""
        slow = await self.broker.read(QUEUE, seats=seats, hold=HOLD)
        if not slow:
            return
        begun, go = asyncio.Event(), asyncio.Event()
        standing = asyncio.create_task(self._apply(slow, begun=begun, go=go))
        finished = asyncio.create_task(begun.wait())
        await asyncio.wait([standing, finished], return_when=asyncio.FIRST_COMPLETED)
        await self.pass_time(HOLD + 1)
        overtaking = asyncio.create_task(self.read_and("handle", seats))
        await asyncio.sleep(0.005)
        go.set()
        await asyncio.gather(standing, overtaking)
        finished.cancel()

    async def pass_time(self, seconds: float) -> None:
        self.time += seconds

    async def _add(self, tx: Connection, key: str) -> None:
        self.told += 1
        personal = PersonalData(name=str(self.told), email="x@banyan.test")
        event = AccountRegistered(account_id=key, at=datetime.now(UTC), pii=personal)
        await outbox.add(tx, event, seal=seal_of(event))

    async def _apply(
        self,
        lent: Sequence[Delivery],
        *,
        fails: bool = False,
        begun: asyncio.Event | None = None,
        go: asyncio.Event | None = None,
    ) -> None:
        async def note(tx: Connection, event: AccountRegistered) -> None:
            number = int(event.pii.name)
            await tx.execute("INSERT INTO seen (key, number) VALUES ($1, $2)", event.account_id, number)
            if begun and go:
                begun.set()
                await go.wait()
            if fails:
                raise Crash

        handlers = [on(AccountRegistered, note), on(ProfileChanged, note), on(AccountErased, note)]
        consumer = Consumer(name=NAME, source="iam", handlers=handlers, database=self.learning, people=Persons())
        kinds = {handler.kind.TYPE: handler for handler in handlers}
        told = [read(delivery, kinds, horizon=None) for delivery in lent]
        await applying.apply(consumer, told, applying.Trial())


keys, seats = st.sampled_from(KEYS), st.integers(1, 3)
telling = st.one_of(
    st.tuples(st.just("tell"), keys, st.sampled_from(["commit", "commit", "abort"])),
    st.tuples(st.just("tell_overtaken"), keys, keys),
)
moving = st.tuples(st.just("move"), st.sampled_from(["no crash", "no crash", "before publishing", "after publishing"]))
reading = st.one_of(
    st.tuples(
        st.just("read_and"), st.sampled_from(["handle", "crash before the commit", "crash after the commit"]), seats
    ),
    st.tuples(st.just("read_and_handle_together"), seats),
    st.tuples(st.just("be_overtaken"), seats),
    st.tuples(st.just("pass_time"), st.sampled_from([1.0, HOLD + 1])),
)
# In rounds, so that most of what is chosen has something to work on.
rounds = st.tuples(
    st.lists(telling, min_size=1, max_size=4), st.lists(moving, max_size=2), st.lists(reading, max_size=5)
).map(lambda parts: [step for part in parts for step in part])


def test_each_event_has_its_effect_once_and_in_order_under_any_interleaving(postgres) -> None:
    with asyncio.Runner() as runner:
        world = runner.run(World.make(postgres))

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(st.lists(rounds, min_size=1, max_size=5))
        def any_interleaving(chosen: list[list[tuple[str, ...]]]) -> None:
            runner.run(world.play([step for one in chosen for step in one]))

        any_interleaving()
        runner.run(world.close())
