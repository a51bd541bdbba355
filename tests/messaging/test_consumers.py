"""From an operation's transaction over relay and bus to its effect elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
import structlog

from banyan.contracts.events import AccountErased, AccountRegistered, PersonalData, ProfileChanged
from banyan.infra.postgres import Connection, Database
from banyan.messaging import Consumer, PgmqBroker, consuming, envelope, on, outbox, relay
from banyan.messaging.broker import Broker
from banyan.messaging.consumers import Handle, Pace, at_once
from banyan.messaging.envelope import Envelope
from banyan.messaging.subscriptions import SUBSCRIPTIONS, subscription_of
from tests.messaging.persons import Persons, seal_of
from tests.messaging.waiting import until

NAME = "learning-from-iam"
QUEUE = subscription_of(NAME).queue
BRISK = Pace(hold=1.0, first_retry=0.05, longest_retry=0.2, poll=0.05)


def registered(key: str, name: str = "x") -> AccountRegistered:
    return AccountRegistered(account_id=key, at=datetime.now(UTC), pii=PersonalData(name=name, email="x@banyan.test"))


async def nothing(_: Connection, __: object) -> None:
    return None


async def note(tx: Connection, event: AccountRegistered) -> None:
    await tx.execute("INSERT INTO seen (key, name) VALUES ($1, $2)", event.account_id, event.pii.name)


def consumer(database: Database, handle: Handle = note, pace: Pace = BRISK) -> Consumer:
    handlers = [on(AccountRegistered, handle), on(ProfileChanged, nothing), on(AccountErased, nothing)]
    return Consumer(name=NAME, source="iam", handlers=handlers, database=database, pace=pace, people=Persons())


@pytest.fixture
async def seen(learning: Database) -> Callable[[], Awaitable[list[tuple[str, str]]]]:
    async with learning.connection() as connection:
        await connection.execute("CREATE TABLE seen (n bigint GENERATED ALWAYS AS IDENTITY, key text, name text)")

    async def rows() -> list[tuple[str, str]]:
        return [(row["key"], row["name"]) for row in await learning.fetch("SELECT * FROM seen ORDER BY n")]

    return rows


@pytest.fixture
async def declared(bus: PgmqBroker) -> PgmqBroker:
    await bus.declare(SUBSCRIPTIONS)
    return bus


@asynccontextmanager
async def relaying(url: str, bus: Broker) -> AsyncIterator[None]:
    async with relay.relaying({"iam": url}, bus, after=at_once):
        yield


async def tell(iam: Database, *events: AccountRegistered | AccountErased) -> None:
    async with iam.transaction() as tx:
        for event in events:
            await outbox.add(tx, event, seal=seal_of(event))


async def queued(bus_url: str) -> int:
    database = Database(bus_url, size=1)
    try:
        return int(await database.fetchval(f"SELECT count(*) FROM pgmq.q_{QUEUE}"))
    finally:
        await database.close()


async def test_what_is_committed_has_its_effect_elsewhere_and_leaves_nothing_behind(
    iam: Database, iam_url: str, declared: PgmqBroker, bus_url: str, learning: Database, seen
) -> None:
    async with relaying(iam_url, declared), consuming(declared, [consumer(learning)]):
        await tell(iam, registered("a", "김하늘"), registered("b"))

        async def arrived() -> bool:
            return len(await seen()) == 2

        await until(arrived)
    assert sorted(await seen()) == [("a", "김하늘"), ("b", "x")]
    assert await iam.fetchval("SELECT count(*) FROM outbox") == 0
    assert await iam.fetchval("SELECT count(*) FROM event") == 2
    assert await queued(bus_url) == 0


async def test_an_event_that_comes_twice_has_its_effect_once_and_is_acknowledged(
    declared: PgmqBroker, bus_url: str, learning: Database, seen
) -> None:
    twice = envelope_of(registered("a"))
    await declared.publish([twice, twice])
    async with consuming(declared, [consumer(learning)]):

        async def drained() -> bool:
            return await queued(bus_url) == 0

        await until(drained)
    assert await seen() == [("a", "x")]


def envelope_of(event: AccountRegistered, kind: str = AccountRegistered.TYPE) -> Envelope:
    data = envelope.data_of(event).decode()
    return envelope.of_row(event_id=uuid4(), kind=kind, key=event.key(), data=data, at=event.at, request_id="r-9")


@pytest.mark.parametrize("together", [1, 16])
async def test_a_failing_event_holds_back_its_own_key_only_and_is_tried_until_it_succeeds(
    declared: PgmqBroker, learning: Database, seen, together: int
) -> None:
    pace = replace(BRISK, together=together)
    failures = 3

    async def refuse_at_first(tx: Connection, event: AccountRegistered) -> None:
        nonlocal failures
        await note(tx, event)
        if event.pii.name == "a1" and failures:
            failures -= 1
            raise RuntimeError("not yet")

    await declared.publish([envelope_of(registered(name[0], name)) for name in ("a1", "b1", "a2", "b2", "a3")])
    with structlog.testing.capture_logs() as logged:
        async with consuming(declared, [consumer(learning, refuse_at_first, pace)]):

            async def done() -> bool:
                return len(await seen()) == 5

            await until(done)
    rows = await seen()
    assert [name for key, name in rows if key == "a"] == ["a1", "a2", "a3"]
    assert [name for key, name in rows[:2]] == ["b1", "b2"]
    attempts = [line["attempt"] for line in logged if line["event"] == "event not handled"]
    # Several together are tried again one by one at once, which is no further attempt.
    assert attempts == ([1, 2, 3] if together == 1 else [1])


async def test_a_failure_is_logged_with_the_event_and_the_request_it_came_from(
    declared: PgmqBroker, learning: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = asyncio.Event()
    found: dict[str, str] = {}

    async def refuse(_: Connection, __: AccountRegistered) -> None:
        found.update(structlog.contextvars.get_contextvars())
        tried.set()
        raise RuntimeError

    event = envelope_of(registered("a"))
    await declared.publish([event])
    async with consuming(declared, [consumer(learning, refuse)]):
        await asyncio.wait_for(tried.wait(), 5)
    assert (found["event_id"], found["request_id"]) == (event.id, "r-9")


async def test_stopping_finishes_what_is_in_flight_and_gives_back_the_rest(
    declared: PgmqBroker, bus_url: str, learning: Database, seen
) -> None:
    begun = asyncio.Event()

    async def slow(tx: Connection, event: AccountRegistered) -> None:
        begun.set()
        await asyncio.sleep(0.3)
        await note(tx, event)

    await declared.publish([envelope_of(registered("a", str(n))) for n in range(3)])
    async with consuming(declared, [consumer(learning, slow, Pace(together=1))]):
        await asyncio.wait_for(begun.wait(), 5)
    assert await seen() == [("a", "0")]
    assert await queued(bus_url) == 2
    assert len(await declared.read(QUEUE, seats=9, hold=1)) == 2, "given back, not held until the loan ends"


async def test_an_event_that_takes_longer_than_its_loan_is_not_lent_to_another(
    declared: PgmqBroker, learning: Database, seen
) -> None:
    calls = 0

    async def slow(tx: Connection, event: AccountRegistered) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(1.5)
        await note(tx, event)

    await declared.publish([envelope_of(registered("a"))])
    pace = Pace(hold=0.6, poll=0.05)
    async with (
        consuming(declared, [consumer(learning, slow, pace)]),
        consuming(declared, [consumer(learning, slow, pace)]),
    ):

        async def done() -> bool:
            return len(await seen()) == 1

        await until(done)
    assert calls == 1


async def test_two_relays_take_turns_and_the_second_takes_over_from_one_that_hangs(
    iam: Database, iam_url: str, declared: PgmqBroker, bus_url: str
) -> None:
    first, second = relay.Session(iam_url, declared), relay.Session(iam_url, declared)
    await first.open()
    await first.become_the_only_one()
    await second.open()
    await tell(iam, registered("a"))
    started = asyncio.get_running_loop().time()
    await asyncio.wait_for(second.become_the_only_one(), 6)  # the first does nothing from here on: it hangs
    assert asyncio.get_running_loop().time() - started < 5
    assert await second.move() == 1
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await first.move()
    first.end()
    second.end()
    assert await queued(bus_url) == 1


def test_a_consumer_without_a_subscription_is_refused_with_the_place_to_add_it(learning: Database) -> None:
    with pytest.raises(LookupError, match=r"subscriptions\.py"):
        Consumer(name="nobody-from-iam", source="iam", handlers=[], database=learning)
    with pytest.raises(ValueError, match=r"subscriptions\.py"):
        Consumer(name=NAME, source="iam", handlers=[on(AccountErased, nothing)], database=learning)
