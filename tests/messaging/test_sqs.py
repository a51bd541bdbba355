"""SNS and SQS where something goes wrong on the way: nothing is lost, and no key gets out of its order."""

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from banyan.messaging import envelope
from banyan.messaging.envelope import Envelope
from banyan.messaging.sqs import client
from banyan.messaging.sqs.broker import SqsBroker
from banyan.messaging.sqs.client import AwsAway, AwsForbids, AwsRefuses, NotThere
from banyan.messaging.sqs.names import Names, group
from tests.messaging.test_brokers import ACCOUNTS, ERASURES, HOLD, told
from tests.messaging.wire import Faults, Wire
from tests.ministack import environ

SUBSCRIPTIONS = [ACCOUNTS, ERASURES]


@pytest.fixture
async def wire(aws: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    async with Wire(aws) as wire:
        for name, value in environ(wire.url).items():
            monkeypatch.setenv(name, value)
        yield wire


@pytest.fixture
async def broker(wire: Wire) -> AsyncIterator[SqsBroker]:
    broker = SqsBroker(Names(prefix=f"t{uuid.uuid4().hex[:8]}", fifo=True))
    await broker.declare(SUBSCRIPTIONS)
    wire.calls.clear()
    yield broker
    await broker.close()


def of_keys(keys: int, each: int) -> list[Envelope]:
    return [told(f"k{key}", number=number) for number in range(each) for key in range(keys)]


async def drain(broker: SqsBroker, queue: str = ACCOUNTS.queue) -> list[Envelope]:
    lent: list[Envelope] = []
    while some := await broker.read(queue, seats=100, hold=HOLD):
        lent += [envelope.decode(delivery.body) for delivery in some]
        await broker.delete(queue, [delivery.receipt for delivery in some])
    return lent


def by_key(envelopes: list[Envelope]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in envelopes:
        numbers = found.setdefault(one.subject, [])
        if one.data["n"] not in numbers:  # its inbox knows a repetition
            numbers.append(one.data["n"])
    return found


async def publish_as_a_relay_does(broker: SqsBroker, batch: list[Envelope], *, queue: str | None = None) -> int:
    """The same batch until it is through; answers how often that was."""
    for tries in range(1, 30):
        try:
            await broker.publish(batch, queue=queue)
            return tries
        except AwsAway:
            await asyncio.sleep(0.05)
    raise AssertionError("never published")


@pytest.mark.parametrize("queue", [None, ACCOUNTS.queue])
async def test_whatever_happens_on_the_way_each_key_comes_whole_and_in_order(
    broker: SqsBroker, wire: Wire, queue: str | None
) -> None:
    batch = of_keys(12, 5)
    wire.faults = Faults(
        lose_answer=0.05,
        truncate=0.05,
        answer_500=0.05,
        throttle=0.05,
        partial=0.3,
        twice=0.1,
        slow=0.1,
        slow_seconds=0.1,
    )
    await publish_as_a_relay_does(broker, batch, queue=queue)
    await wire.mend()

    assert by_key(await drain(broker)) == {f"k{key}": list(range(5)) for key in range(12)}
    assert {fault for _, fault in wire.calls} >= {"partial", "twice"}


async def test_two_events_of_a_key_are_never_on_their_way_at_once(broker: SqsBroker, wire: Wire) -> None:
    wire.script = [Faults(partial=1.0)]  # the first event of the first key fails alone
    await broker.publish(of_keys(3, 4))
    lent = await drain(broker)

    assert by_key(lent) == {f"k{key}": [0, 1, 2, 3] for key in range(3)}
    assert len(lent) == 12
    assert wire.count("PublishBatch") == 5, "four waves, and one more for what failed"


async def test_a_full_batch_is_ten_events_or_as_many_bytes_as_aws_takes(broker: SqsBroker, wire: Wire) -> None:
    await broker.publish([told(f"k{n}") for n in range(100)])
    assert wire.count("PublishBatch") == 10
    large = [told(f"k{n}") for n in range(5)]
    for one in large:
        one.data["text"] = "x" * 100_000
    await broker.publish(large)
    assert wire.count("PublishBatch") == 13, "two large ones fit into a batch"
    assert len(await drain(broker)) == 105


async def test_one_key_with_many_events_gets_on_however_little_time_there_is(broker: SqsBroker, wire: Wire) -> None:
    wire.faults = Faults(slow=1.0, slow_seconds=0.25)
    batch = [told("hot", number=number) for number in range(15)]
    started = time.monotonic()
    with pytest.raises(AwsAway, match="of 15 events are published"):
        await broker.publish(batch)
    assert time.monotonic() - started < 3, "the relay gives a step no more"

    assert await publish_as_a_relay_does(broker, batch) == 1, "it goes on where it was"
    assert [one.data["n"] for one in await drain(broker)] == list(range(15)), "and nothing came twice"


async def test_a_hung_wire_costs_the_relay_seconds(broker: SqsBroker, wire: Wire) -> None:
    wire.faults = Faults(hang=1.0)
    started = time.monotonic()
    with pytest.raises(AwsAway, match="no answer within"):
        await broker.publish([told("a")])
    with pytest.raises(AwsAway):
        await broker.read(ACCOUNTS.queue, seats=1, hold=HOLD)
    assert time.monotonic() - started < 8
    await wire.cut()
    with pytest.raises(AwsAway, match="Could not connect"):
        await broker.depth(ACCOUNTS.queue)
    await wire.mend()
    await broker.publish([told("a")])
    assert len(await drain(broker)) >= 1


async def test_what_could_not_be_deleted_comes_again_and_partial_failures_are_tried_again(
    broker: SqsBroker, wire: Wire
) -> None:
    await broker.publish([told(f"k{n}") for n in range(12)])
    lent = await broker.read(ACCOUNTS.queue, seats=20, hold=1)
    wire.script = [Faults(partial=1.0), Faults(partial=1.0), Faults(answer_500=1.0)]
    await broker.delete(ACCOUNTS.queue, [one.receipt for one in lent])
    assert (await broker.depth(ACCOUNTS.queue)).waiting == 0

    await broker.publish([told("a")])
    [again] = await broker.read(ACCOUNTS.queue, seats=1, hold=1)
    wire.faults = Faults(answer_500=1.0)
    with pytest.raises(AwsAway):
        await broker.delete(ACCOUNTS.queue, [again.receipt])
    await wire.mend()
    await asyncio.sleep(1.1)
    assert [one.attempts for one in await broker.read(ACCOUNTS.queue, seats=1, hold=1)] == [2]


async def test_what_aws_refuses_is_named_and_holds_up_no_other(broker: SqsBroker) -> None:
    large = told("large")
    large.data["text"] = "x" * 300_000
    with pytest.raises(AwsRefuses, match=f"AWS refuses {large.type} {large.id} of large: .*long"):
        await broker.publish([large, told("a"), told("b")])
    assert sorted(by_key(await drain(broker))) == ["a", "b"]


async def publish_when_it_answers(broker: SqsBroker, one: Envelope) -> None:
    """On a busy machine the little time for it may be over first; the relay comes again, too."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(AwsAway):
                await broker.publish([one])
                return


async def test_a_missing_topic_or_queue_is_named_with_what_makes_it(wire: Wire) -> None:
    broker = SqsBroker(Names(prefix="nowhere", fifo=True))
    with pytest.raises(NotThere, match="banyan event provision"):
        await publish_when_it_answers(broker, told("a"))
    with pytest.raises(NotThere, match=r"nowhere-learning-from-iam\.fifo.*banyan event provision"):
        await broker.read(ACCOUNTS.queue, seats=1, hold=HOLD)
    await broker.close()


async def test_without_the_extra_a_region_or_credentials_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(client.NoRegion, match="AWS_REGION"):
        await client.Aws().check()
    monkeypatch.setenv("AWS_REGION", "ap-northeast-2")
    with pytest.raises(client.NoCredentials, match="AWS_ACCESS_KEY_ID"):
        await client.Aws().check()
    monkeypatch.setitem(sys.modules, "aiobotocore.session", None)
    with pytest.raises(client.ExtraMissing, match=r"banyan\[aws\]"):
        await client.Aws().check()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"AWS_PROFILE": "nobody"}, "The config profile (nobody) could not be found"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "missing: AWS_SECRET_ACCESS_KEY"),
        ({"AWS_REGION": "nowhere at all"}, "'nowhere at all'"),
        ({"AWS_ENDPOINT_URL": "somewhere"}, "Invalid endpoint: somewhere"),
    ],
    ids=["profile", "half a key", "region", "address"],
)
async def test_what_cannot_be_meant_of_aws_is_a_clear_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, told: dict[str, str], says: str
) -> None:
    good = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "HOME": str(tmp_path)}
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in {**good, **told}.items():
        monkeypatch.setenv(name, value)
    aws = client.Aws()
    try:
        with pytest.raises(client.NotConfigured) as refused:
            await aws.warm()
    finally:
        await aws.close()
    assert says in refused.value.detail


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDenied", 403, AwsForbids),
        ("AuthorizationError", 403, AwsForbids),
        ("ThrottlingException", 400, AwsAway),
        ("RequestThrottled", 403, AwsAway),
        ("Whatever", 503, AwsAway),
        ("ExpiredToken", 403, AwsAway),
        ("QueueDoesNotExist", 400, NotThere),
        ("InvalidParameter", 400, AwsRefuses),
    ],
)
def test_what_aws_says_is_sorted_by_what_helps(code: str, status: int, kind: type[Exception]) -> None:
    assert client._kind({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}) is kind


def test_names_stay_within_what_aws_takes() -> None:
    names = Names(prefix="p" * 30, fifo=True)
    long = "a_context_with_a_very_long_name_from_another_with_a_long_name_too"
    assert {len(name) for name in (names.queue(long), names.dead(long))} == {80}
    assert len({names.queue(long), names.dead(long), names.queue(f"{long}_")}) == 3
    assert Names(prefix="banyan", fifo=True).queue("learning_from_iam") == "banyan-learning-from-iam.fifo"
    assert Names(prefix="banyan", fifo=False).dead("learning_from_iam") == "banyan-learning-from-iam-dead"


def test_a_key_that_aws_takes_is_its_own_group_and_any_other_has_one_of_its_own() -> None:
    assert group("0199-a.b_c!~") == "0199-a.b_c!~"
    odd = ["한글", "a b", "", "k" * 129, "k" * 130, "a\n"]
    assert len({group(key) for key in odd}) == len(odd)
    assert all(len(group(key)) <= 128 and group(key).isascii() for key in odd)
