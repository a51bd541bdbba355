"""A handler that always fails, one that hangs, one that is slow: other keys and other consumers go on."""

import asyncio
import time
from collections import Counter

import pytest

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Connection, Database
from banyan.messaging import Consumer, on
from banyan.messaging.consumers import Hearing
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.messaging import failing
from tests.messaging.failing import BRISK, told

BAD = [f"bad{n}" for n in range(8)]  # more than there are lanes
GOOD = [f"good{n}" for n in range(20)]


@pytest.fixture
async def database(learning: Database) -> Database:
    await failing.make_seen(learning)
    return learning


async def test_keys_that_always_fail_are_dead_soon_and_keep_no_other_key_waiting(database: Database) -> None:
    async def refuse(_: Connection, event: StudentEnrolled) -> None:
        if event.course_id in BAD:
            raise RuntimeError

    broker = await failing.broker()
    await broker.publish([told(key, number) for number in range(3) for key in BAD + GOOD])
    async with Hearing(broker, [failing.consumer(database, refuse)]).running():
        await failing.until_seen(database, 3 * len(GOOD))
        await failing.until_letters(database, 3 * len(BAD))
    assert sorted(await failing.letters(database)) == sorted(
        [(key, "failed", BRISK.attempts) for key in BAD] + [(key, "parked", 0) for key in BAD for _ in range(2)]
    )


async def test_keys_that_hang_are_cut_off_and_counted_and_take_the_lanes_of_the_others_only_once(
    database: Database,
) -> None:
    lanes = 2
    bad = BAD[: lanes + 1]
    calls: Counter[str] = Counter()
    again, most_again = 0, 0

    async def hang(_: Connection, event: StudentEnrolled) -> None:
        nonlocal again, most_again
        if event.course_id not in bad:
            return
        calls[event.course_id] += 1
        failed_before = calls[event.course_id] > 1
        again += failed_before
        most_again = max(most_again, again)
        try:
            await asyncio.sleep(60)
        finally:
            again -= failed_before

    async def each_has_had_its_turn() -> bool:
        return len(calls) == len(bad)

    broker = await failing.broker()
    await broker.publish([told(key, 1) for key in bad])
    consumer = failing.consumer(database, hang, handling=0.6, lanes=lanes, together=1, attempts=2)
    async with Hearing(broker, [consumer]).running():
        await failing.until(each_has_had_its_turn)
        await broker.publish([told(key, 1) for key in GOOD])
        await failing.until_seen(database, len(GOOD))
        await failing.until_letters(database, len(bad))
    assert most_again == 1, "those that failed before have one lane among themselves"
    assert sorted(await failing.letters(database)) == [(key, "failed", 2) for key in bad]
    assert (await database.fetchval("SELECT error FROM dead_letter LIMIT 1")) == "TookTooLong: Not done after 0.6 s."
    assert "asyncio.sleep(60)" in await database.fetchval("SELECT traceback FROM dead_letter LIMIT 1")


async def test_one_that_hangs_among_others_in_one_transaction_costs_them_a_moment_only(database: Database) -> None:
    async def hang(_: Connection, event: StudentEnrolled) -> None:
        if event.course_id == BAD[0]:
            await asyncio.sleep(60)

    broker = await failing.broker()
    await broker.publish([told(key, 1) for key in (BAD[0], *GOOD)])
    begun = time.monotonic()
    consumer = failing.consumer(database, hang, lanes=2, handling=30.0, stopping=0.2)
    async with Hearing(broker, [consumer]).running():
        await failing.until_seen(database, len(GOOD))
        assert time.monotonic() - begun < 8.0


async def test_a_statement_that_hangs_is_the_events_fault_while_the_database_is_well(database: Database) -> None:
    async def hang(tx: Connection, event: StudentEnrolled) -> None:
        if event.course_id in BAD:
            await tx.execute("SET LOCAL statement_timeout = 100")
            await tx.execute("SELECT pg_sleep(60)")

    broker = await failing.broker()
    await broker.publish([told(BAD[0], 1), told("good", 1)])
    async with Hearing(broker, [failing.consumer(database, hang)]).running():
        await failing.until_letters(database, 1)
        await failing.until_seen(database, 1)
    assert await failing.letters(database) == [(BAD[0], "failed", BRISK.attempts)]


async def test_a_consumer_that_is_slow_or_fails_keeps_no_other_consumer_waiting(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from banyan.messaging import subscriptions
    from banyan.messaging.subscriptions import Subscription

    second = Subscription("iam-from-learning", "iam", (StudentEnrolled,))
    monkeypatch.setattr(subscriptions, "SUBSCRIPTIONS", (*SUBSCRIPTIONS, second))
    heard: list[int] = []

    async def slow(_: Connection, event: StudentEnrolled) -> None:
        await asyncio.sleep(0.3)
        if event.learners % 2:
            raise RuntimeError

    async def hear(_: Connection, event: StudentEnrolled) -> None:
        heard.append(event.learners)

    broker = await failing.broker()
    await broker.declare((*SUBSCRIPTIONS, second))
    quick = Consumer(
        name=second.consumer, source="learning", handlers=[on(StudentEnrolled, hear)], database=database, pace=BRISK
    )
    begun = time.monotonic()
    async with Hearing(broker, [failing.consumer(database, slow, stopping=0.5), quick]).running():
        await broker.publish([told(f"k{n}", n) for n in range(60)])

        async def all_heard() -> bool:
            return len(heard) == 60

        await failing.until(all_heard)
        took = time.monotonic() - begun
    assert took < 60 * 0.3 / 4, "as long as the slow one needs for them"
