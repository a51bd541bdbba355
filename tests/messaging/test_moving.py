"""From PGMQ to SNS and SQS while events wait (docs/guides/sns-sqs.md): nothing is lost, and no key overtaken."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from banyan.contracts.events import AccountErased
from banyan.infra.postgres import Database, DatabaseAway
from banyan.messaging import envelope, moving, outbox, relay
from banyan.messaging.broker import Delivery
from banyan.messaging.moving import Moving
from banyan.messaging.pgmq import PgmqBroker
from banyan.messaging.sqs.broker import SqsBroker
from banyan.messaging.sqs.names import Names
from tests.messaging.test_brokers import ACCOUNTS, HOLD, told
from tests.ministack import environ

QUEUE = ACCOUNTS.queue


@pytest.fixture
async def new(aws: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqsBroker]:
    for name, value in environ(aws).items():
        monkeypatch.setenv(name, value)
    broker = SqsBroker(Names(prefix=f"t{uuid.uuid4().hex[:8]}", fifo=True))
    await broker.declare([ACCOUNTS])
    yield broker
    await broker.close()


@pytest.fixture
async def old(bus: PgmqBroker) -> PgmqBroker:
    await bus.declare([ACCOUNTS])
    return bus


def numbers(lent: list[Delivery]) -> list[int]:
    return [envelope.decode(one.body).data["n"] for one in lent]


async def test_what_waits_in_the_old_broker_comes_first_and_while_it_is_out_nothing_overtakes_it(
    new: SqsBroker, old: PgmqBroker
) -> None:
    await old.publish([told("a", number=0), told("a", number=1)])
    await new.publish([told("a", number=2), told("b", number=3)])
    consumer = Moving(new, old)

    lent = await consumer.read(QUEUE, seats=10, hold=HOLD)
    assert numbers(lent) == [0, 1]
    assert await consumer.read(QUEUE, seats=10, hold=HOLD, wait=0.1) == []
    assert (await consumer.depth(QUEUE)).waiting == 4
    await consumer.release(QUEUE, [lent[1].receipt], after=0)
    await consumer.delete(QUEUE, [lent[0].receipt])
    [last] = await consumer.read(QUEUE, seats=10, hold=HOLD)
    await consumer.bury(QUEUE, [last.receipt], reason="it could not be handled")

    then = await consumer.read(QUEUE, seats=10, hold=HOLD)
    assert sorted(numbers(then)) == [2, 3]
    await consumer.extend(QUEUE, [one.receipt for one in then], hold=HOLD)
    await consumer.delete(QUEUE, [one.receipt for one in then])
    assert (await consumer.depth(QUEUE)).waiting == 0


async def test_the_last_words_of_the_old_relay_come_before_the_first_of_the_new_one(
    new: SqsBroker, old: PgmqBroker
) -> None:
    consumer = Moving(new, old)
    assert await consumer.read(QUEUE, seats=10, hold=HOLD) == []
    await old.publish([told("a", number=0)])
    await new.publish([told("a", number=1)])
    heard: list[int] = []
    while len(heard) < 2:
        lent = await consumer.read(QUEUE, seats=10, hold=HOLD, wait=1)
        heard += numbers(lent)
        await consumer.delete(QUEUE, [one.receipt for one in lent])
    assert heard == [0, 1]


async def test_what_a_relay_that_was_upgraded_late_has_published_is_found(
    new: SqsBroker, old: PgmqBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = Moving(new, old)
    assert await consumer.read(QUEUE, seats=10, hold=HOLD) == []
    monkeypatch.setattr(moving, "_LOOK_SECONDS", 0.0)
    await old.publish([told("a", number=7)])
    assert numbers(await consumer.read(QUEUE, seats=10, hold=HOLD)) == [7]


async def test_a_bus_that_never_was_keeps_nobody_waiting_and_one_that_is_away_does(
    new: SqsBroker, postgres, bus_url: str
) -> None:
    await new.publish([told("a", number=1)])
    for url, waits in (
        (postgres.url(await postgres.make_database()), False),
        (postgres.url(f"no_such_{uuid.uuid4().hex[:8]}"), False),
        (bus_url, False),
        ("postgresql://nobody@127.0.0.1:1/bus", True),
    ):
        old = PgmqBroker(url, size=1)
        consumer = Moving(new, old)
        if waits:
            with pytest.raises(DatabaseAway):
                await consumer.read(QUEUE, seats=10, hold=0)
        else:
            assert numbers(await consumer.read(QUEUE, seats=10, hold=0)) == [1], url
        await old.close()


async def test_a_relay_that_is_told_of_another_broker_brings_what_still_waits_in_the_outbox(
    new: SqsBroker, old: PgmqBroker, iam: Database, iam_url: str
) -> None:
    async def tell(account: str) -> None:
        async with iam.transaction() as tx:
            await outbox.add(tx, AccountErased(account_id=account, at=datetime.now(UTC)))

    await tell("first")
    async with relay.relaying({"iam": iam_url}, old, after=_at_once):
        while (await old.depth(QUEUE)).waiting < 1:
            await asyncio.sleep(0.02)
    await tell("second")
    async with relay.relaying({"iam": iam_url}, new, after=_at_once):
        while (await new.depth(QUEUE)).waiting < 1:
            await asyncio.sleep(0.02)

    consumer = Moving(new, old)
    heard: list[str] = []
    while "second" not in heard:
        lent = await consumer.read(QUEUE, seats=10, hold=HOLD, wait=1)
        heard += [one.key for one in lent]
        await consumer.delete(QUEUE, [one.receipt for one in lent])
    assert list(dict.fromkeys(heard)) == ["first", "second"], "a relay that is stopped may say its last words twice"


async def _at_once() -> None:
    return None
