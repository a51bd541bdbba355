"""What is parked goes on in its order when somebody redrives or discards what it waits for; nothing overtakes it."""

import asyncio
import subprocess
import sys
from uuid import UUID

import pytest

from banyan.contracts.events import StudentEnrolled
from banyan.contracts.messaging import DeadChoice
from banyan.infra.postgres import Connection, Database
from banyan.kit.errors import Unavailable
from banyan.messaging.broker import Delivery
from banyan.messaging.consumers import Consuming, Hearing, redriving, standing
from banyan.messaging.letters import choosing, redrives, writing
from banyan.messaging.letters.choosing import BeingTried, NothingChosen
from banyan.messaging.letters.looking import DeadLetterUnknown
from tests.messaging import failing
from tests.messaging.failing import NAME, QUEUE, OddBroker, told

ALL = DeadChoice(all=True)


@pytest.fixture
async def database(learning: Database) -> Database:
    await failing.make_seen(learning)
    return learning


async def stuck(database: Database, *numbers: int, key: str = "a") -> OddBroker:
    """The first of these is dead, the others are parked behind it; answers the broker, which has nothing left."""
    broker = await failing.broker()
    await broker.publish([told(key, number) for number in numbers])
    async with Hearing(broker, [failing.consumer(database, failing.failing(numbers[0]))]).running():
        await failing.until_letters(database, len(numbers))
    assert await broker.waiting() == 0
    return broker


async def borrowed(broker: OddBroker) -> list[Delivery]:
    return await broker.read(QUEUE, seats=9, hold=10)


async def test_a_redrive_is_at_once_and_in_order_and_then_the_key_is_free(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await stuck(database, 1, 2, 3)
    monkeypatch.setattr(redriving, "_LONGEST_WAIT", 60.0)
    monkeypatch.setattr(standing, "_LOOK_SECONDS", 60.0)
    hearing = Hearing(broker, [failing.consumer(database)])
    async with hearing.running():
        await asyncio.sleep(0.2)
        outcome = await choosing.redrive(database, ALL)
        hearing.runs[NAME].redriver.wake()
        await failing.until_seen(database, 3)
        await broker.publish([told("a", 4)])
        await failing.until_seen(database, 4)
    assert (outcome.letters, outcome.keys) == (3, 1)
    assert await failing.seen(database) == [1, 2, 3, 4]
    assert await database.fetchval("SELECT count(*) FROM stuck_key") == 0


async def test_a_redrive_that_is_interrupted_before_its_first_try_counts_as_none(database: Database) -> None:
    await stuck(database, 1, 2)
    await choosing.redrive(database, ALL)
    consumer = failing.consumer(database)
    for _ in range(consumer.pace.attempts + 1):  # such as by a pause
        answers = iter((True, False, False))
        await redriving.Redriver(consumer, may_go_on=lambda answers=answers: next(answers)).redrive_due()
    await redriving.Redriver(consumer, may_go_on=lambda: True).redrive_due()
    assert await failing.seen(database) == [1, 2]


async def test_a_redrive_that_fails_leaves_the_rest_parked_and_says_why(database: Database) -> None:
    broker = await stuck(database, 1, 2)
    async with Hearing(broker, [failing.consumer(database, failing.failing(1))]).running():
        await choosing.redrive(database, ALL)

        async def tried() -> bool:
            return (await failing.letters(database))[0] == ("a", "failed", 4)

        await failing.until(tried)
    assert await failing.letters(database) == [("a", "failed", 4), ("a", "parked", 0)]
    assert await database.fetchval("SELECT redrive_at FROM stuck_key") is None
    assert await failing.seen(database) == []


async def test_one_that_was_only_parked_is_tried_as_often_as_any_event_before_it_counts_as_failed(
    database: Database,
) -> None:
    broker = await stuck(database, 1, 2, 3)
    async with Hearing(broker, [failing.consumer(database, failing.failing(2))]).running():
        await choosing.redrive(database, ALL)

        async def tried() -> bool:
            return await failing.letters(database) == [("a", "failed", 3), ("a", "parked", 0)]

        await failing.until(tried)
    assert await failing.seen(database) == [1]


async def test_discarding_lets_the_rest_go_on_and_what_is_discarded_never_comes_again(database: Database) -> None:
    dead = told("a", 1)
    broker = await failing.broker()
    await broker.publish([dead, told("a", 2), told("b", 1)])
    async with Hearing(broker, [failing.consumer(database, failing.failing(1))]).running():
        await failing.until_letters(database, 3)
        outcome = await choosing.discard(database, DeadChoice(consumer=NAME))
        assert (outcome.letters, outcome.keys) == (2, 2), "not what is only parked"
        await failing.until_seen(database, 1)
        await broker.publish([dead])
        await broker.publish([told("a", 3)])
        await failing.until_seen(database, 2)
    assert await failing.seen(database) == [2, 3]
    assert await failing.letters(database) == []


async def test_discarding_one_that_is_parked_lets_nothing_go_on(database: Database) -> None:
    await stuck(database, 1, 2, 3)
    ids = [row["id"] for row in await database.fetch("SELECT id FROM dead_letter ORDER BY id")]
    await choosing.discard(database, DeadChoice(id=ids[1]))
    assert await failing.letters(database) == [("a", "failed", 3), ("a", "parked", 0)]
    assert await database.fetchval("SELECT redrive_at FROM stuck_key") is None


async def test_a_choice_of_nothing_or_of_what_is_not_there_is_refused(database: Database) -> None:
    with pytest.raises(NothingChosen):
        await choosing.redrive(database, DeadChoice())
    with pytest.raises(DeadLetterUnknown, match="There is no dead letter 12 here; `banyan event dead ls` lists them"):
        await choosing.discard(database, DeadChoice(id=12))
    assert (await choosing.redrive(database, ALL)).letters == 0


async def test_an_event_waits_while_its_key_is_redriven_and_others_of_the_same_transaction_do_not(
    database: Database,
) -> None:
    broker = await stuck(database, 1)
    await choosing.redrive(database, ALL)
    begun, go = asyncio.Event(), asyncio.Event()

    async def stand(_: Connection, event: StudentEnrolled) -> None:
        if event.learners == 1:
            begun.set()
            await go.wait()

    run = Consuming(broker, failing.consumer(database, stand))
    await run.standing.look(count=False)
    redriving = asyncio.create_task(run.redriver.redrive_due())
    await asyncio.wait_for(begun.wait(), 5)
    await broker.publish([told("a", 2), told("b", 10)])
    bundle = await borrowed(broker)

    await asyncio.wait_for(run.work.some(bundle), 3)

    assert await failing.seen(database) == [10]
    with pytest.raises(BeingTried):
        await choosing.discard(database, DeadChoice(id=await database.fetchval("SELECT id FROM dead_letter")))
    go.set()
    await redriving
    await asyncio.sleep(0.1)
    await run.work.some(await borrowed(broker))
    assert await failing.seen(database, "a") == [1, 2]


async def test_nothing_is_parked_behind_a_key_that_is_free_again(database: Database) -> None:
    """Who parks holds the key until the letter is there; a redrive that would free it goes on without it until then."""
    await stuck(database, 1)
    await choosing.redrive(database, ALL)
    late = told("a", 2)
    async with database.transaction() as parking:
        known = await writing.remember(parking, NAME, [UUID(late.id)], ["a"])
        assert known.stuck == {"a"}
        assert await redrives.claim(database, NAME) is None
        async with database.transaction() as other:
            row = await database.fetchrow("SELECT id FROM dead_letter")
            assert not await redrives.lock(other, NAME, "a", [row["id"]])
    assert (await redrives.claim(database, NAME)).key == "a"


async def test_a_redrive_goes_on_where_a_killed_process_left_it(database: Database, learning_url: str) -> None:
    await stuck(database, 1, 2, 3, 4)
    await choosing.redrive(database, ALL)
    command = [sys.executable, "-m", "tests.messaging.redriving", learning_url, "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "standing" not in await asyncio.to_thread(process.stdout.readline):
            assert process.poll() is None
        process.kill()
    assert await failing.seen(database) == [1, 2]

    async with Hearing(await failing.broker(), [failing.consumer(database)]).running():
        await failing.until_seen(database, 4)
        await failing.until_letters(database, 0)

    assert await failing.seen(database) == [1, 2, 3, 4]


async def test_a_letter_that_ends_every_process_that_redrives_it_is_left_alone_in_the_end(database: Database) -> None:
    broker = await stuck(database, 1, 2)
    await choosing.redrive(database, ALL)
    for _ in range(failing.BRISK.attempts):
        assert await redrives.claim(database, NAME) is not None  # and is killed
    async with Hearing(broker, [failing.consumer(database)]).running():

        async def given_up() -> bool:
            return "may end its process" in await database.fetchval("SELECT error FROM dead_letter ORDER BY id LIMIT 1")

        await failing.until(given_up)
        await asyncio.sleep(0.2)
        assert await failing.seen(database) == []
        await choosing.redrive(database, ALL)
        await failing.until_seen(database, 2)


async def test_a_redrive_waits_for_the_world_outside_as_long_as_it_takes(database: Database) -> None:
    broker = await stuck(database, 1, 2)
    calls = 0

    async def away_at_first(_: Connection, __: StudentEnrolled) -> None:
        nonlocal calls
        calls += 1
        if calls <= 3 * failing.BRISK.attempts:
            raise Unavailable

    await choosing.redrive(database, ALL)
    async with Hearing(broker, [failing.consumer(database, away_at_first)]).running():
        await failing.until_seen(database, 2)
    assert await failing.letters(database) == []


async def test_several_processes_of_a_context_redrive_many_keys_once_each(database: Database) -> None:
    broker = await failing.broker()
    keys = [f"k{n}" for n in range(20)]
    await broker.publish([told(key, number) for number in (1, 2) for key in keys])
    async with Hearing(broker, [failing.consumer(database, failing.failing(1), attempts=1)]).running():
        await failing.until_letters(database, 40)
    await choosing.redrive(database, ALL)
    hearings = [Hearing(await failing.broker(), [failing.consumer(database)]) for _ in range(2)]
    async with hearings[0].running(), hearings[1].running():
        await failing.until_seen(database, 40)
    assert all([await failing.seen(database, key) == [1, 2] for key in keys])
    assert await failing.letters(database) == []
