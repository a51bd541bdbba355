"""What cannot be handled goes to the dead letters, with the reason; nothing else does."""

import asyncio
from typing import ClassVar
from uuid import UUID

import msgspec
import pytest

from banyan.contracts.events import AccountErased, AccountRegistered, PersonalData, ProfileChanged, StudentEnrolled
from banyan.contracts.messaging import DeadState
from banyan.infra.postgres import Connection, Database
from banyan.kit.errors import Unavailable
from banyan.kit.ids import uuid7
from banyan.messaging import Consumer, consuming, envelope, on
from banyan.messaging.broker import Delivery, Feature
from banyan.messaging.letters import writing
from banyan.messaging.letters.writing import Letter
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.messaging import failing
from tests.messaging.failing import BRISK, QUEUE, OddBroker, told
from tests.messaging.persons import Persons


@pytest.fixture
async def database(learning: Database) -> Database:
    await failing.make_seen(learning)
    return learning


async def test_an_event_that_fails_too_often_is_dead_with_the_reason_and_what_follows_of_its_key_is_parked(
    database: Database,
) -> None:
    broker = await failing.broker()
    await broker.publish([told("a", 1), told("b", 1), told("a", 2), told("a", 3), told("b", 2)])
    async with consuming(broker, [failing.consumer(database, failing.failing_of("a", 1))]):
        await failing.until_letters(database, 3)
        await failing.until_seen(database, 2)
    assert await failing.letters(database) == [("a", "failed", 3), ("a", "parked", 0), ("a", "parked", 0)]
    row = await database.fetchrow("SELECT * FROM dead_letter ORDER BY id LIMIT 1")
    assert row["error"] == "RuntimeError: cannot handle number 1"
    assert "tests/messaging/failing.py" not in row["traceback"], "not this machine's folders"
    assert "in act\n" in row["traceback"]
    assert row["traceback"].endswith("RuntimeError: cannot handle number 1")
    assert await failing.seen(database, "b") == [1, 2]
    assert await broker.waiting() == 0
    assert [reason for _, _, reason in broker.buried] == [row["error"]], "what is only parked has no reason"


def body(**changed: object) -> bytes:
    return msgspec.json.encode({**msgspec.json.decode(envelope.encode(told("k", 1))), **changed})


@pytest.mark.parametrize(
    ("sent", "state", "says"),
    [
        (b"\xff\x00 not JSON", "malformed", "It is no event"),
        (b"[" * 5000, "malformed", "It is no event"),
        (body(specversion="0.3"), "malformed", "specversion"),
        (body(id="12"), "malformed", "UUID"),
        (body(data={"course_id": 7}), "malformed", "course_id"),
        (body(type="banyan.learning.student-enrolled.v2"), "unknown", "it knows banyan.learning.student-enrolled.v1"),
        (body(type="banyan.learning.nobody-knows.v1"), "unknown", "a type that this consumer does not know"),
        (body(id="0187a000-0000-7000-8000-000000000001"), "failed", "days old"),
    ],
    ids=["no-json", "nested", "specversion", "id", "data", "version", "type", "old"],
)
async def test_what_no_further_try_would_help_is_dead_at_once_and_says_why(
    database: Database, sent: bytes, state: str, says: str
) -> None:
    broker = await failing.broker()
    await broker.put(sent)
    await broker.put(sent)
    await broker.publish([told("other", 1)])
    async with consuming(broker, [failing.consumer(database)]):
        await failing.until_letters(database, 1)
        await failing.until_seen(database, 1)

        async def drained() -> bool:
            return await broker.waiting() == 0

        await failing.until(drained)
    assert await failing.letters(database) == [("k", state, 0)]
    assert says in await database.fetchval("SELECT error FROM dead_letter")
    assert await database.fetchval("SELECT body FROM dead_letter") == sent


async def test_what_was_unknown_goes_on_by_itself_in_order_when_a_newer_consumer_starts(database: Database) -> None:
    broker = await failing.broker()
    newer = told("a", 1, kind="banyan.learning.student-enrolled.v2")
    await broker.publish([newer, told("a", 2)])
    async with consuming(broker, [failing.consumer(database)]):
        await failing.until_letters(database, 2)
    # As if the consumer had learnt it: what it does not know becomes what it knows.
    await database.fetch(
        "UPDATE dead_letter SET type = $1, body = convert_to(replace(convert_from(body, 'UTF8'), $2, $1), 'UTF8')",
        StudentEnrolled.TYPE,
        newer.type,
    )
    async with consuming(broker, [failing.consumer(database)]):
        await failing.until_seen(database, 2)
    assert await failing.seen(database) == [1, 2]
    assert await database.fetchval("SELECT count(*) FROM stuck_key") == 0


async def test_a_failure_of_the_world_outside_is_waited_for_and_not_counted(database: Database) -> None:
    broker = await failing.broker()
    calls = 0

    async def away_at_first(_: Connection, __: StudentEnrolled) -> None:
        nonlocal calls
        calls += 1
        if calls <= 5:
            raise Unavailable

    await broker.publish([told("a", 1)])
    async with consuming(broker, [failing.consumer(database, away_at_first, attempts=1)]):
        await failing.until_seen(database, 1)
    assert calls == 6
    assert await failing.letters(database) == []
    assert [delivery async for delivery in _deliveries(broker)] == [], "it was borrowed once, and kept"


async def _deliveries(broker: OddBroker):
    for delivery in await broker.read(QUEUE, seats=9, hold=1):
        yield delivery


async def test_an_id_that_says_a_year_beyond_all_calendars_holds_nobody_up(database: Database) -> None:
    broker = await failing.broker()
    await broker.put(body(id="ffffffff-ffff-7fff-bfff-ffffffffffff"))
    await broker.publish([told("other", 2)])
    # Whatever pace a product has: without a horizon nobody asks how old it is.
    async with consuming(broker, [failing.consumer(database, horizon=86_400.0)]):
        await failing.until_seen(database, 2)
    assert await failing.letters(database) == []


async def test_one_that_ends_its_process_each_time_is_found_out_and_who_was_only_near_it_is_not_blamed(
    database: Database,
) -> None:
    broker = await failing.broker()
    deaths = BRISK.deliveries + 1
    await broker.put(envelope.encode(told("a", 1)), key="a", attempts=deaths)
    await broker.put(envelope.encode(told("a", 2)), key="a", attempts=deaths)
    await broker.put(envelope.encode(told("b", 1)), key="b", attempts=deaths)
    async with consuming(broker, [failing.consumer(database)]):
        await failing.until_letters(database, 2)
        await failing.until_seen(database, 1)
    assert await failing.letters(database) == [("a", "failed", deaths), ("a", "parked", 0)]
    assert "may have ended its process" in await database.fetchval("SELECT error FROM dead_letter ORDER BY id LIMIT 1")
    assert await failing.seen(database, "b") == [1]


async def test_what_is_lent_again_because_something_before_it_fails_is_never_blamed_for_that(
    database: Database,
) -> None:
    """With few attempts allowed, each of these is borrowed more often than a deadly event may be."""
    broker = await failing.broker()
    left = dict.fromkeys(range(12), 2)

    async def twice(_: Connection, event: StudentEnrolled) -> None:
        if left[event.learners]:
            left[event.learners] -= 1
            raise RuntimeError

    await broker.publish([told("a", number) for number in range(12)])
    async with consuming(broker, [failing.consumer(database, twice)]):
        await failing.until_seen(database, 12)
    assert await failing.seen(database) == list(range(12))
    assert await failing.letters(database) == []


async def test_who_would_bury_an_event_waits_for_whoever_is_handling_it_just_now(database: Database) -> None:
    event = told("a", 1)
    letter = Letter(
        event_id=UUID(event.id), key="a", type=event.type, body=b"", state=DeadState.FAILED, attempts=3, error="why"
    )

    async def bury() -> bool:
        async with database.transaction() as tx:
            return await writing.bury(tx, failing.NAME, letter)

    async with database.transaction() as handling:
        known = await writing.remember(handling, failing.NAME, [letter.event_id], ["a"])
        assert known.new == {letter.event_id}
        burying = asyncio.create_task(bury())
        done, _ = await asyncio.wait([burying], timeout=0.2)
        assert not done
    assert await burying is False
    assert await failing.letters(database) == []


async def test_what_the_broker_gave_up_is_a_dead_letter_like_any_other(database: Database) -> None:
    class GivesUp(OddBroker):
        features = OddBroker.features | {Feature.GIVES_UP}
        gone: ClassVar = [Delivery("r1", "a", 100, envelope.encode(told("a", 1)))]

        async def given_up(self, queue: str, *, seats: int, hold: float) -> list[Delivery]:
            return GivesUp.gone

        async def bury(self, queue: str, receipts, *, reason: str) -> None:
            if receipts == ["r1"]:
                GivesUp.gone = []
            await super().bury(queue, receipts, reason=reason)

    broker = GivesUp()
    await broker.declare(SUBSCRIPTIONS)
    async with consuming(broker, [failing.consumer(database)]):
        await failing.until_letters(database, 1)
        await broker.publish([told("a", 2)])
        await failing.until_letters(database, 2)
    assert await failing.letters(database) == [("a", "failed", 100), ("a", "parked", 0)]
    assert broker.gone == []


@pytest.mark.parametrize("at_fault", ["the database", "the handler"])
async def test_no_personal_data_are_in_what_is_written_down_of_a_failure(learning: Database, at_fault: str) -> None:
    """The database repeats values in its messages, and a handler may."""
    async with learning.connection() as connection:
        await connection.execute("CREATE TABLE person (name text, email text, n integer)")

    async def refuse(tx: Connection, event: AccountRegistered) -> None:
        if at_fault == "the handler":
            raise ValueError(f"who is {event.pii!r}?")
        await tx.execute("INSERT INTO person VALUES ($1, $2, $1::text::integer)", event.pii.name, event.pii.email)

    async def nothing(_: Connection, __: object) -> None:
        return None

    handlers = [on(AccountRegistered, refuse), on(ProfileChanged, nothing), on(AccountErased, nothing)]
    consumer = Consumer(
        name="learning-from-iam", source="iam", handlers=handlers, database=learning, pace=BRISK, people=Persons()
    )
    broker = await failing.broker()
    event = AccountRegistered(
        account_id="p1", at=told("k", 1).time, pii=PersonalData(name="김하늘", email="Haneul@banyan.test")
    )
    data = envelope.data_of(event).decode()
    sent = envelope.of_row(event_id=uuid7(), kind=event.TYPE, key="p1", data=data, at=event.at, request_id=None)
    await broker.publish([sent])
    async with consuming(broker, [consumer]):
        await failing.until_letters(learning, 1)
    row = await learning.fetchrow("SELECT error, traceback FROM dead_letter")
    assert row["error"].startswith("InvalidTextRepresentationError" if at_fault == "the database" else "ValueError")
    assert "in refuse" in row["traceback"]
    for text in (row["error"], row["traceback"], *(reason for _, _, reason in broker.buried)):
        assert "김하늘" not in text
        assert "haneul" not in text.lower()
