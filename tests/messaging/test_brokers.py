"""What every broker promises, tried on each."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from banyan.contracts import events
from banyan.contracts.monitor import Depth
from banyan.messaging import envelope
from banyan.messaging.broker import Broker, Delivery
from banyan.messaging.envelope import Envelope
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.subscriptions import Subscription

ACCOUNTS = Subscription("learning-from-iam", "learning", (events.AccountRegistered, events.AccountErased))
ERASURES = Subscription("search-from-iam", "search", (events.AccountErased,))
HOLD = 30.0


@pytest.fixture(params=["memory", "pgmq"])
def undeclared(request: pytest.FixtureRequest) -> Broker:
    return MemoryBroker() if request.param == "memory" else request.getfixturevalue("bus")


@pytest.fixture
async def broker(undeclared: Broker) -> Broker:
    await undeclared.declare([ACCOUNTS, ERASURES])
    return undeclared


def told(key: str, kind: str = events.AccountRegistered.TYPE, number: int = 0) -> Envelope:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    return Envelope(id=str(uuid4()), source="iam", type=kind, subject=key, time=now, data={"n": number, "이름": "한"})


async def read(broker: Broker, seats: int = 10, hold: float = HOLD, queue: str = ACCOUNTS.queue) -> list[Delivery]:
    return await broker.read(queue, seats=seats, hold=hold)


def numbers(lent: list[Delivery]) -> list[tuple[str, int]]:
    return [(delivery.key, envelope.decode(delivery.body).data["n"]) for delivery in lent]


async def test_an_event_comes_as_it_was_told(broker: Broker) -> None:
    event = told("a", number=7)
    await broker.publish([event])
    [delivery] = await read(broker)
    assert envelope.decode(delivery.body) == event
    assert (delivery.key, delivery.attempts) == ("a", 1)


async def test_each_subscriber_gets_a_copy_of_what_it_subscribed_to(broker: Broker) -> None:
    await broker.publish([told("a"), told("a", events.AccountErased.TYPE), told("a", events.SessionRevoked.TYPE)])
    assert [envelope.decode(one.body).type for one in await read(broker)] == [
        events.AccountRegistered.TYPE,
        events.AccountErased.TYPE,
    ]
    assert len(await read(broker, queue=ERASURES.queue)) == 1


async def test_a_newer_version_of_a_subscribed_event_is_queued_too(broker: Broker) -> None:
    await broker.publish([told("a", "banyan.iam.account-registered.v2")])
    assert len(await read(broker)) == 1


async def test_types_in_turn_keep_the_order_of_their_key(broker: Broker) -> None:
    kinds = [events.AccountRegistered.TYPE, events.AccountErased.TYPE] * 5
    await broker.publish([told("a", kind, n) for n, kind in enumerate(kinds)])
    assert numbers(await read(broker)) == [("a", n) for n in range(10)]


async def test_no_more_is_lent_than_there_are_seats_and_nothing_twice(broker: Broker) -> None:
    await broker.publish([told(f"k{n}", number=n) for n in range(5)])
    first, second, third = await read(broker, 3), await read(broker, 3), await read(broker, 3)
    assert [len(first), len(second), len(third)] == [3, 2, 0]
    assert {delivery.receipt for delivery in first}.isdisjoint(delivery.receipt for delivery in second)


async def test_nothing_of_a_key_is_lent_while_something_earlier_of_it_is_out(broker: Broker) -> None:
    await broker.publish([told("a", number=0), told("a", number=1), told("b", number=2)])
    [first] = await read(broker, 1)
    assert numbers(await read(broker)) == [("b", 2)]
    await broker.delete(ACCOUNTS.queue, [first.receipt])
    assert numbers(await read(broker)) == [("a", 1)]


async def test_what_is_not_deleted_in_time_is_lent_again_first(broker: Broker) -> None:
    await broker.publish([told("a", number=0), told("a", number=1)])
    await read(broker, 1, hold=0.2)
    await asyncio.sleep(0.3)
    again = await read(broker)
    assert numbers(again) == [("a", 0), ("a", 1)]
    assert [delivery.attempts for delivery in again] == [2, 1]


async def test_what_is_released_comes_after_its_pause_and_what_follows_comes_after_it(broker: Broker) -> None:
    await broker.publish([told("a", number=0), told("a", number=1)])
    first, _ = await read(broker)
    await broker.release(ACCOUNTS.queue, [first.receipt], after=0.3)
    assert await read(broker) == []
    await asyncio.sleep(0.4)
    assert numbers(await read(broker)) == [("a", 0)], "the second is still out"


async def test_a_loan_can_be_made_longer(broker: Broker) -> None:
    await broker.publish([told("a")])
    [delivery] = await read(broker, hold=0.3)
    await broker.extend(ACCOUNTS.queue, [delivery.receipt], hold=HOLD)
    await asyncio.sleep(0.4)
    assert await read(broker) == []


async def test_declaring_again_keeps_what_is_queued_and_ends_what_is_no_longer_wanted(broker: Broker) -> None:
    await broker.publish([told("a", events.AccountErased.TYPE)])
    await broker.declare([ACCOUNTS])
    await broker.publish([told("b", events.AccountErased.TYPE)])
    assert len(await read(broker)) == 2
    assert numbers(await read(broker, queue=ERASURES.queue)) == [("a", 0)]


async def test_who_listens_is_told_when_something_comes(broker: Broker) -> None:
    async with broker.listening(ACCOUNTS.queue) as signal:
        await asyncio.sleep(0.3)
        signal.clear()
        await broker.publish([told("a")])
        await asyncio.wait_for(signal.wait(), 5)


async def test_readers_at_the_same_time_share_the_work_and_keep_the_order(broker: Broker) -> None:
    await broker.publish([told(f"k{n % 7}", number=n) for n in range(200)])
    seen: list[tuple[str, int]] = []

    async def reader() -> None:
        while lent := await read(broker, 5) or await read(broker, 5):
            seen.extend(numbers(lent))
            await asyncio.sleep(0)
            await broker.delete(ACCOUNTS.queue, [delivery.receipt for delivery in lent])

    await asyncio.gather(*(reader() for _ in range(4)))
    while lent := await read(broker):
        seen.extend(numbers(lent))
        await broker.delete(ACCOUNTS.queue, [delivery.receipt for delivery in lent])
    assert sorted(n for _, n in seen) == list(range(200))
    for key in {key for key, _ in seen}:
        mine = [n for k, n in seen if k == key]
        assert mine == sorted(mine)


async def test_a_queue_is_as_deep_as_what_is_not_done_and_as_old_as_the_oldest_of_it(broker: Broker) -> None:
    assert await broker.depth(ACCOUNTS.queue) == Depth(0, 0.0)
    await broker.publish([told("a", number=n) for n in range(3)])
    await asyncio.sleep(0.1)
    [first] = await read(broker, seats=1)
    depth = await broker.depth(ACCOUNTS.queue)
    assert depth.waiting == 3, "what is lent is not done"
    assert depth.oldest_seconds >= 0.1
    await broker.delete(ACCOUNTS.queue, [first.receipt])
    assert (await broker.depth(ACCOUNTS.queue)).waiting == 2
    assert (await broker.depth(ERASURES.queue)).waiting == 0


async def test_what_is_published_to_one_queue_comes_to_no_other(broker: Broker) -> None:
    await broker.publish([told("a", events.AccountErased.TYPE)], queue=ERASURES.queue)
    assert await read(broker) == []
    assert len(await read(broker, queue=ERASURES.queue)) == 1


async def test_what_is_buried_is_out_of_the_queue_and_what_follows_comes(broker: Broker) -> None:
    await broker.publish([told("a", number=0), told("a", number=1)])
    [first] = await read(broker, 1)
    await broker.bury(ACCOUNTS.queue, [first.receipt], reason="it could not be handled")
    assert numbers(await read(broker)) == [("a", 1)]
