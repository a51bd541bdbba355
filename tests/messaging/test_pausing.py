"""A consumer that is paused, or whose own database is away, borrows nothing; and one that waits delays nobody."""

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import asyncpg
import pytest
import structlog

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Connection, Database
from banyan.messaging.broker import Delivery, Feature
from banyan.messaging.consumers import Hearing
from banyan.messaging.letters import pauses
from tests.messaging import failing
from tests.messaging.failing import BRISK, NAME, QUEUE, OddBroker, told


class CountingBroker(OddBroker):
    reads = 0

    async def read(self, queue: str, *, seats: int, hold: float, wait: float = 0.0) -> list[Delivery]:
        self.reads += 1
        return await super().read(queue, seats=seats, hold=hold)


class WaitingBroker(OddBroker):
    """As SQS: nobody is told when something comes, but a read waits for it, and ends with it or its time."""

    features = OddBroker.features - {Feature.LISTENING}
    deleted_while_a_read_waits = 0
    waits = 0

    async def read(self, queue: str, *, seats: int, hold: float, wait: float = 0.0) -> list[Delivery]:
        lent = await super().read(queue, seats=seats, hold=hold)
        if not lent:
            self.waits += 1
            async with self.listening(queue) as signal:
                try:
                    await asyncio.wait_for(signal.wait(), wait)
                except TimeoutError:
                    return []
                finally:
                    self.waits -= 1
            lent = await super().read(queue, seats=seats, hold=hold)
        return lent

    async def delete(self, queue: str, receipts) -> None:
        self.deleted_while_a_read_waits += bool(self.waits)
        await super().delete(queue, receipts)


@pytest.fixture
async def database(learning: Database) -> Database:
    await failing.make_seen(learning)
    return learning


async def counting() -> CountingBroker:
    broker = CountingBroker()
    await broker.declare(failing.SUBSCRIPTIONS)
    return broker


async def test_a_paused_consumer_finishes_what_it_has_and_borrows_nothing_in_any_process_until_it_is_resumed(
    database: Database,
) -> None:
    broker = await counting()
    begun, go = asyncio.Event(), asyncio.Event()

    async def stand(_: Connection, event: StudentEnrolled) -> None:
        begun.set()
        await go.wait()

    await broker.publish([told("a", 1)])
    hearings = [Hearing(broker, [failing.consumer(database, stand)]) for _ in range(2)]
    async with hearings[0].running(), hearings[1].running():
        await asyncio.wait_for(begun.wait(), 5)
        await pauses.pause(database, NAME, by="op")

        async def seen_by_all() -> bool:
            return all(hearing.runs[NAME].standing.paused_by == "op" for hearing in hearings)

        await failing.until(seen_by_all, seconds=2)
        go.set()
        await failing.until_seen(database, 1)
        await broker.publish([told("a", 2), told("b", 3)])
        reads = broker.reads
        await asyncio.sleep(0.5)
        assert broker.reads == reads
        assert await broker.waiting() == 2
        await pauses.resume(database, NAME)
        await failing.until_seen(database, 3)


async def test_a_consumer_starts_paused_if_it_was(database: Database) -> None:
    broker = await counting()
    await broker.publish([told("a", 1)])
    await pauses.pause(database, NAME, by="op")
    await pauses.pause(database, NAME, by="somebody later")
    hearing = Hearing(broker, [failing.consumer(database)])
    async with hearing.running():
        await asyncio.sleep(0.3)
        assert broker.reads == 0
        assert hearing.runs[NAME].standing.paused_by == "op"


async def test_while_its_own_database_is_away_nothing_is_borrowed_and_nothing_counted(
    database: Database, learning_url: str, postgres
) -> None:
    name = await database.fetchval("SELECT current_database()")
    broker = await counting()
    hearing = Hearing(broker, [failing.consumer(database, attempts=1)])
    server = await asyncpg.connect(postgres.url("postgres"))
    try:
        async with hearing.running():
            await broker.publish([told("a", 1)])
            await failing.until_seen(database, 1)
            await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            await broker.publish([told(key, 2) for key in "abcdef"])

            async def closed() -> bool:
                return not hearing.runs[NAME].standing.is_open

            await failing.until(closed)
            await asyncio.sleep(0.2)
            reads = broker.reads
            await asyncio.sleep(0.5)
            assert broker.reads == reads
            await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await failing.until_seen(database, 7)
        assert await failing.letters(database) == []
        assert await broker.waiting() == 0
    finally:
        await server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await server.close()


async def test_a_read_that_waits_delays_no_acknowledgement(database: Database) -> None:
    broker = WaitingBroker()
    await broker.declare(failing.SUBSCRIPTIONS)
    begun = asyncio.get_running_loop().time()
    async with Hearing(broker, [failing.consumer(database, wait=2.0)]).running():
        for number in range(5):
            await broker.publish([told("a", number)])
            await failing.until_seen(database, number + 1)

            async def drained() -> bool:
                return await broker.waiting() == 0

            await failing.until(drained)
    assert broker.deleted_while_a_read_waits >= 4
    assert asyncio.get_running_loop().time() - begun < 5 * 2.0


async def test_what_a_read_brings_that_began_before_the_pause_is_given_back(database: Database) -> None:
    broker = WaitingBroker()
    await broker.declare(failing.SUBSCRIPTIONS)
    hearing = Hearing(broker, [failing.consumer(database, wait=3.0)])
    async with hearing.running():

        async def reading() -> bool:
            return broker.waits == 1

        await failing.until(reading)
        await pauses.pause(database, NAME, by="op")

        async def paused() -> bool:
            return not hearing.runs[NAME].standing.is_open

        await failing.until(paused, seconds=2)
        await broker.publish([told("a", 1)])
        await asyncio.sleep(0.3)
        assert (len(hearing.runs[NAME].loans), await failing.seen(database)) == (0, [])
        (given_back,) = await broker.read(QUEUE, seats=1, hold=0)
        assert given_back.attempts == 2
        await pauses.resume(database, NAME)
        await failing.until_seen(database, 1)


async def test_no_more_is_borrowed_than_there_are_seats_however_long_the_handling_takes(database: Database) -> None:
    broker = await counting()
    most, now_in_hand = 0, 0

    async def slow(_: Connection, __: StudentEnrolled) -> None:
        nonlocal most, now_in_hand
        borrowed = [one for one in broker._queues[QUEUE].values() if one.visible_at > broker._clock()]
        most = max(most, len(borrowed))
        await asyncio.sleep(0.01)

    await broker.publish([told(f"k{n}", n) for n in range(30)])
    pace = replace(BRISK, seats=6, lanes=2, together=2)
    async with Hearing(broker, [failing.consumer(database, slow, pace=pace)]).running():
        await failing.until_seen(database, 30)
    assert 2 <= most <= 6


async def test_who_is_stopped_gives_back_what_it_could_not_finish(database: Database) -> None:
    broker = await counting()
    begun = asyncio.Event()

    async def hang(_: Connection, __: StudentEnrolled) -> None:
        begun.set()
        await asyncio.sleep(60)

    await broker.publish([told("a", 1), told("a", 2), told("b", 1)])
    async with Hearing(broker, [failing.consumer(database, hang, hold=60.0, handling=60.0, stopping=0.3)]).running():
        await asyncio.wait_for(begun.wait(), 5)
    assert len(await broker.read(QUEUE, seats=9, hold=1)) == 3
    assert await failing.seen(database) == []


class BrokenBroker(OddBroker):
    """Cannot be listened to at first, for a reason that nobody has thought of."""

    broken = 2

    def listening(self, queue: str) -> AbstractAsyncContextManager[asyncio.Event]:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("nobody has thought of this")
        return super().listening(queue)


async def test_a_consumer_that_breaks_off_begins_anew(database: Database) -> None:
    broker = BrokenBroker()
    await broker.declare(failing.SUBSCRIPTIONS)
    await broker.publish([told("a", 1)])
    async with Hearing(broker, [failing.consumer(database)]).running():
        await failing.until_seen(database, 1)
    assert await broker.waiting() == 0


async def test_a_database_that_is_not_as_it_should_be_is_told_of_once_and_not_ten_times_a_second(
    database: Database,
) -> None:
    await database.fetch("ALTER TABLE consumer RENAME TO elsewhere")
    broker = await counting()
    await broker.publish([told("a", 1)])
    with structlog.testing.capture_logs() as logged:
        async with Hearing(broker, [failing.consumer(database)]).running():
            await asyncio.sleep(0.6)
            assert [line["event"] for line in logged].count("cannot look after a consumer") == 1
            await database.fetch("ALTER TABLE elsewhere RENAME TO consumer")
            await failing.until_seen(database, 1)
