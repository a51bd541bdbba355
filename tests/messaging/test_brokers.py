"""What every broker promises, tried on each. What one lacks it declares, and then it is shown to lack it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest

from banyan.contracts import events
from banyan.contracts.monitor import Depth
from banyan.messaging import envelope
from banyan.messaging.broker import Broker, Delivery, Feature
from banyan.messaging.envelope import Envelope
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.pgmq import PgmqBroker
from banyan.messaging.sqs import plan
from banyan.messaging.sqs.broker import SqsBroker
from banyan.messaging.sqs.names import Names
from banyan.messaging.subscriptions import Subscription
from tests import ministack

ACCOUNTS = Subscription("learning-from-iam", "learning", (events.AccountRegistered, events.AccountErased))
ERASURES = Subscription("search-from-iam", "search", (events.AccountErased,))
HOLD = 30.0


@pytest.fixture
async def fifo(aws: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqsBroker]:
    async for broker in over_aws(aws, monkeypatch, fifo=True):
        yield broker


@pytest.fixture
async def standard(aws: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqsBroker]:
    async for broker in over_aws(aws, monkeypatch, fifo=False):
        yield broker


async def over_aws(url: str, monkeypatch: pytest.MonkeyPatch, *, fifo: bool) -> AsyncIterator[SqsBroker]:
    for name, value in ministack.environ(url).items():
        monkeypatch.setenv(name, value)
    broker = SqsBroker(Names(prefix=f"t{uuid.uuid4().hex[:8]}", fifo=fifo))
    yield broker
    await broker.close()


@pytest.fixture(params=["memory", "bus", "fifo", "standard"])
def undeclared(request: pytest.FixtureRequest) -> Broker:
    return MemoryBroker() if request.param == "memory" else request.getfixturevalue(request.param)


@pytest.fixture
async def broker(undeclared: Broker) -> Broker:
    await undeclared.declare([ACCOUNTS, ERASURES])
    return undeclared


def moment(broker: Broker) -> float:
    """The shortest loan: of those who tell when something comes it is a moment, of the others a whole second."""
    return 0.3 if Feature.LISTENING in broker.features else 1.0


def has(broker: Broker, feature: Feature) -> bool:
    return feature in broker.features


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


@pytest.mark.parametrize("key", ["한글 키", "k" * 200, "a b\u00a0c", "\uffff"])
async def test_any_key_and_any_text_come_as_they_were_told(broker: Broker, key: str) -> None:
    event = told(key)
    event.data["odd"] = "\x01\x7f\ufffe\uffff\U0001f600 </a>&"
    await broker.publish([event, told(f"{key}!")])
    first = {delivery.key: delivery for delivery in await read(broker)}[key]
    assert envelope.decode(first.body) == event

    alone = msgspec.structs.replace(event, type=events.AccountErased.TYPE)
    await broker.publish([alone], queue=ERASURES.queue)
    [second] = await read(broker, queue=ERASURES.queue)
    assert envelope.decode(second.body) == alone


async def test_each_subscriber_gets_a_copy_of_what_it_subscribed_to(broker: Broker) -> None:
    await broker.publish([told("a"), told("a", events.AccountErased.TYPE), told("a", events.SessionRevoked.TYPE)])
    assert sorted(envelope.decode(one.body).type for one in await read(broker)) == [
        events.AccountErased.TYPE,
        events.AccountRegistered.TYPE,
    ]
    assert len(await read(broker, queue=ERASURES.queue)) == 1


async def test_a_newer_version_of_a_subscribed_event_is_queued_too(broker: Broker) -> None:
    await broker.publish([told("a", "banyan.iam.account-registered.v2")])
    assert len(await read(broker)) == 1


async def test_a_type_that_only_begins_like_a_subscribed_one_is_not_queued(broker: Broker) -> None:
    await broker.publish([told("a", "banyan.iam.account-registered-twice.v1")])
    assert await read(broker) == []


async def test_types_in_turn_keep_the_order_of_their_key(broker: Broker) -> None:
    kinds = [events.AccountRegistered.TYPE, events.AccountErased.TYPE] * 5
    await broker.publish([told("a", kind, n) for n, kind in enumerate(kinds)])
    lent = numbers(await read(broker))
    assert (lent if has(broker, Feature.ORDER_BY_KEY) else sorted(lent)) == [("a", n) for n in range(10)]


async def test_no_more_is_lent_than_there_are_seats_and_nothing_twice(broker: Broker) -> None:
    await broker.publish([told(f"k{n}", number=n) for n in range(5)])
    first, second, third = await read(broker, 3), await read(broker, 3), await read(broker, 3)
    assert [len(first), len(second), len(third)] == [3, 2, 0]
    assert {delivery.receipt for delivery in first}.isdisjoint(delivery.receipt for delivery in second)


async def test_as_much_is_lent_at_once_as_there_are_seats(broker: Broker) -> None:
    await broker.publish([told(f"k{n}", number=n) for n in range(35)])
    assert len(await read(broker, 33)) == 33
    assert len(await read(broker, 33)) == 2


async def test_nothing_of_a_key_is_lent_while_something_earlier_of_it_is_out(broker: Broker) -> None:
    await broker.publish([told("a", number=0), told("a", number=1), told("b", number=2)])
    [first] = await read(broker, 1)
    if not has(broker, Feature.ORDER_BY_KEY):
        assert len(await read(broker)) == 2, "without order what follows does not wait"
        return
    assert numbers(await read(broker)) == [("b", 2)]
    await broker.delete(ACCOUNTS.queue, [first.receipt])
    assert numbers(await read(broker)) == [("a", 1)]


async def test_what_is_not_deleted_in_time_is_lent_again_first(broker: Broker) -> None:
    await broker.publish([told("a", number=0), told("a", number=1)])
    [first] = await read(broker, 1, hold=moment(broker))
    await asyncio.sleep(moment(broker) + 0.1)
    again = await read(broker)
    counted = {number: delivery.attempts for (_, number), delivery in zip(numbers(again), again, strict=True)}
    lent = numbers([first])[0][1]
    assert counted == {lent: 2, 1 - lent: 1}
    if has(broker, Feature.ORDER_BY_KEY):
        assert numbers(again) == [("a", 0), ("a", 1)]


async def test_what_is_released_comes_after_its_pause_in_its_order(broker: Broker) -> None:
    await broker.publish([told("a", number=0), told("a", number=1)])
    both = await read(broker)
    await broker.release(ACCOUNTS.queue, [one.receipt for one in both], after=moment(broker))
    assert await read(broker) == []
    await asyncio.sleep(moment(broker) + 0.1)
    again = numbers(await read(broker))
    assert (again if has(broker, Feature.ORDER_BY_KEY) else sorted(again)) == [("a", 0), ("a", 1)]


async def test_what_is_released_without_a_pause_comes_at_once(broker: Broker) -> None:
    await broker.publish([told("a")])
    [first] = await read(broker)
    await broker.release(ACCOUNTS.queue, [first.receipt], after=0)
    assert [again.attempts for again in await read(broker)] == [2]


async def test_a_loan_can_be_made_longer(broker: Broker) -> None:
    await broker.publish([told("a")])
    [delivery] = await read(broker, hold=moment(broker))
    await broker.extend(ACCOUNTS.queue, [delivery.receipt], hold=HOLD)
    await asyncio.sleep(moment(broker) + 0.1)
    assert await read(broker) == []


async def test_receipts_of_what_is_gone_are_no_fault(broker: Broker) -> None:
    await broker.publish([told("a")])
    [delivery] = await read(broker)
    await broker.delete(ACCOUNTS.queue, [delivery.receipt])
    for again in (broker.delete(ACCOUNTS.queue, [delivery.receipt]), broker.delete(ACCOUNTS.queue, [])):
        await again
    await broker.extend(ACCOUNTS.queue, [delivery.receipt], hold=HOLD)
    await broker.release(ACCOUNTS.queue, [delivery.receipt], after=0)
    await broker.bury(ACCOUNTS.queue, [delivery.receipt], reason="gone")
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
        if has(broker, Feature.LISTENING):
            await asyncio.wait_for(signal.wait(), 5)
        else:
            await asyncio.sleep(0.2)
            assert not signal.is_set()


async def test_a_broker_that_cannot_tell_waits_for_the_first_event_when_it_is_read(broker: Broker) -> None:
    async def read_and_wait() -> list[Delivery]:
        return await broker.read(ACCOUNTS.queue, seats=10, hold=HOLD, wait=2)

    reading = asyncio.create_task(read_and_wait())
    await asyncio.sleep(0.3)
    assert reading.done() is has(broker, Feature.LISTENING)
    await broker.publish([told("a")])
    lent = await asyncio.wait_for(reading, 5)
    assert len(lent) == (0 if has(broker, Feature.LISTENING) else 1)


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
    if has(broker, Feature.ORDER_BY_KEY):
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
    assert (depth.oldest_seconds >= 0.1) is has(broker, Feature.AGE)
    await broker.delete(ACCOUNTS.queue, [first.receipt])
    assert (await broker.depth(ACCOUNTS.queue)).waiting == 2
    assert (await broker.depth(ERASURES.queue)).waiting == 0


async def test_what_is_published_to_one_queue_comes_to_no_other(broker: Broker) -> None:
    event = told("a", events.AccountErased.TYPE)
    await broker.publish([event, told("a")], queue=ERASURES.queue)
    assert await read(broker) == []
    [delivery] = await read(broker, queue=ERASURES.queue)
    assert envelope.decode(delivery.body) == event


async def test_what_is_told_again_on_purpose_comes_again(broker: Broker) -> None:
    event = told("a", events.AccountErased.TYPE)
    await broker.publish([event])
    await broker.delete(ERASURES.queue, [one.receipt for one in await read(broker, queue=ERASURES.queue)])
    await broker.publish([event])
    await broker.publish([event], queue=ERASURES.queue)
    assert len(await read(broker, queue=ERASURES.queue)) == 2


async def test_what_is_buried_is_out_of_the_queue_and_what_follows_comes(broker: Broker) -> None:
    await broker.publish([told("a", number=0), told("a", number=1)])
    [first] = await read(broker, 1)
    await broker.bury(ACCOUNTS.queue, [first.receipt], reason="it could not be handled")
    assert len(await read(broker)) == 1
    assert (await broker.depth(ACCOUNTS.queue)).waiting == 1


async def test_what_is_lent_too_often_is_given_up_where_the_broker_does_that(broker: Broker) -> None:
    await broker.publish([told("a")])
    if isinstance(broker, SqsBroker):
        await allow_deliveries(broker, 2)
    for _ in range(2):
        [lent] = await read(broker)
        await broker.release(ACCOUNTS.queue, [lent.receipt], after=0)
    lent = await read(broker)
    given_up = await broker.given_up(ACCOUNTS.queue, seats=10, hold=HOLD)
    assert (len(lent), len(given_up)) == ((0, 1) if has(broker, Feature.GIVES_UP) else (1, 0))
    await broker.release(ACCOUNTS.queue, [one.receipt for one in given_up], after=0)
    given_up = await broker.given_up(ACCOUNTS.queue, seats=10, hold=HOLD)
    await broker.delete(ACCOUNTS.queue, [one.receipt for one in given_up])
    assert await broker.given_up(ACCOUNTS.queue, seats=10, hold=0) == []


async def allow_deliveries(broker: SqsBroker, most: int) -> None:
    """Fewer than the thousand that we ask for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_MOST_DELIVERIES", most)
        await broker.declare([ACCOUNTS, ERASURES])


def test_what_each_lacks_is_written_down() -> None:
    lacks = {
        "memory": {Feature.DURABLE, Feature.RIGHTS, Feature.GIVES_UP},
        "pgmq": {Feature.GIVES_UP},
        "fifo": {Feature.RIGHTS, Feature.LISTENING, Feature.ARCHIVE, Feature.AGE},
        "standard": {Feature.RIGHTS, Feature.LISTENING, Feature.ARCHIVE, Feature.AGE, Feature.ORDER_BY_KEY},
    }
    fifo, standard = (SqsBroker(Names(prefix="t", fifo=fifo)).features for fifo in (True, False))
    has = {"memory": MemoryBroker.features, "pgmq": PgmqBroker.features, "fifo": fifo, "standard": standard}
    assert {name: set(Feature) - features for name, features in has.items()} == lacks
