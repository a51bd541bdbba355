"""What `banyan event provision` makes of an account, again and again, and what it leaves alone."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from banyan.contracts import events
from banyan.infra.settings import Settings
from banyan.messaging import envelope
from banyan.messaging.sqs import plan, provisioning
from banyan.messaging.sqs.client import Account, Aws, AwsAway
from banyan.messaging.sqs.names import Names
from banyan.messaging.sqs.provisioning import NothingToProvision, WrongKind
from banyan.messaging.subscriptions import SUBSCRIPTIONS, Subscription
from banyan.processes import relay
from tests.messaging.test_brokers import ACCOUNTS, ERASURES
from tests.messaging.wire import Faults, Wire
from tests.ministack import environ

HERE = Account("aws", "ap-northeast-2", "123456789012")
NAMES = Names(prefix="banyan", fifo=True)


@pytest.fixture
async def cloud(aws: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    for name, value in environ(aws).items():
        monkeypatch.setenv(name, value)
    cloud = Aws()
    yield cloud
    await cloud.close()


@pytest.fixture
def names() -> Names:
    return Names(prefix=f"t{uuid.uuid4().hex[:8]}", fifo=True)


async def made(cloud: Aws, names: Names, *subscriptions: Subscription) -> list[str]:
    return plan.lines(await provisioning.make(cloud, names, subscriptions))


async def queue_url(cloud: Aws, name: str) -> str:
    return str((await cloud.call("sqs", "get_queue_url", QueueName=name))["QueueUrl"])


async def subscriptions_of(cloud: Aws, topic: str) -> list[str]:
    arn = (await cloud.account()).arn("sns", topic)
    page = await cloud.call("sns", "list_subscriptions_by_topic", TopicArn=arn)
    return [one["SubscriptionArn"] for one in page["Subscriptions"]]


async def test_a_plan_says_what_is_made_and_making_it_leaves_nothing_to_do(cloud: Aws, names: Names) -> None:
    settings = Settings.read({"BANYAN_BROKER": "sns+sqs", "BANYAN_QUEUE_PREFIX": names.prefix})
    planned = await provisioning.plan(settings)
    assert planned[:2] == [
        f"+ queue {names.prefix}-learning-from-iam-dead.fifo",
        f"+ queue {names.prefix}-learning-from-iam.fifo",
    ]
    assert f"+ subscription of {names.prefix}-live-from-learning.fifo to {names.prefix}-learning.fifo" in planned
    assert await provisioning.plan(settings) == planned, "a plan changes nothing"
    assert await provisioning.provision(settings) == planned
    assert await provisioning.provision(settings) == await provisioning.plan(settings) == [plan.NOTHING]


async def test_standard_topics_and_queues_can_be_made_too(cloud: Aws, names: Names) -> None:
    standard = replace(names, fifo=False)
    assert f"+ topic {names.prefix}-iam" in await made(cloud, standard, ACCOUNTS)
    assert await made(cloud, standard, ACCOUNTS) == [plan.NOTHING]


async def test_whatever_was_changed_by_hand_is_put_right_and_named(cloud: Aws, names: Names) -> None:
    await made(cloud, names, ACCOUNTS)
    queue, topic = names.queue(ACCOUNTS.queue), names.topic("iam")
    url = await queue_url(cloud, queue)
    changed = {"RedrivePolicy": "", "Policy": json.dumps({"Version": "2012-10-17", "Statement": []})}
    await cloud.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes=changed)
    [arn] = await subscriptions_of(cloud, topic)
    for name, value in (("RawMessageDelivery", "false"), ("FilterPolicy", '{"type": ["x"]}')):
        asked = {"SubscriptionArn": arn, "AttributeName": name, "AttributeValue": value}
        await cloud.call("sns", "set_subscription_attributes", **asked)

    assert await made(cloud, names, ACCOUNTS) == [
        f"~ policy, redrive policy of queue {queue}",
        f"~ raw delivery, filter policy of {queue}",
    ]
    assert await made(cloud, names, ACCOUNTS) == [plan.NOTHING]


async def test_a_consumer_that_hears_of_more_gets_another_filter(cloud: Aws, names: Names) -> None:
    await made(cloud, names, ERASURES)
    more = replace(ERASURES, events=(*ERASURES.events, events.ProfileChanged))
    assert await made(cloud, names, more) == [f"~ filter policy of {names.queue(ERASURES.queue)}"]


async def test_what_nobody_declares_any_more_is_unsubscribed_and_its_queue_stays(cloud: Aws, names: Names) -> None:
    await made(cloud, names, ACCOUNTS, ERASURES)
    gone = names.queue(ERASURES.queue)
    line = f"- subscription of {gone} to {names.topic('iam')}, which nobody declares any more (the queue stays)"
    assert await made(cloud, names, ACCOUNTS) == [line]
    assert await queue_url(cloud, gone)


async def test_what_others_subscribed_is_left_alone(cloud: Aws, names: Names) -> None:
    await made(cloud, names, ACCOUNTS)
    account = await cloud.account()
    theirs = f"lake-{uuid.uuid4().hex[:8]}.fifo"
    await cloud.call("sqs", "create_queue", QueueName=theirs, Attributes={"FifoQueue": "true"})
    topic = account.arn("sns", names.topic("iam"))
    for protocol, endpoint in (("sqs", account.arn("sqs", theirs)), ("email", "somebody@example.test")):
        await cloud.call("sns", "subscribe", TopicArn=topic, Protocol=protocol, Endpoint=endpoint)
    assert await made(cloud, names, ACCOUNTS) == [plan.NOTHING]
    assert len(await subscriptions_of(cloud, names.topic("iam"))) == 3


async def test_a_queue_of_the_other_kind_is_refused_with_what_to_do(cloud: Aws, names: Names) -> None:
    await made(cloud, replace(names, fifo=False), ACCOUNTS)
    with pytest.raises(WrongKind, match=r"is standard, but BANYAN_QUEUE_ORDER is fifo.*BANYAN_QUEUE_PREFIX"):
        await made(cloud, names, ACCOUNTS)
    with pytest.raises(WrongKind, match="is standard"):
        await provisioning.look(cloud, names, [ACCOUNTS])


async def test_several_who_provision_at_once_do_no_harm(cloud: Aws, names: Names) -> None:
    await asyncio.gather(*(made(cloud, names, ACCOUNTS, ERASURES) for _ in range(4)))
    assert await made(cloud, names, ACCOUNTS, ERASURES) == [plan.NOTHING]
    assert len(await subscriptions_of(cloud, names.topic("iam"))) == 2


async def test_a_relay_that_may_not_provision_goes_on_and_says_so(
    aws: str, names: Names, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.read({"BANYAN_BROKER": "sns+sqs", "BANYAN_QUEUE_PREFIX": names.prefix})
    async with Wire(aws) as wire:
        for name, value in environ(wire.url).items():
            monkeypatch.setenv(name, value)
        wire.faults = Faults(forbid=1.0)
        await relay.prepare(settings)
        assert "left topics and queues as they are" in capsys.readouterr().out
        wire.faults = Faults(throttle=1.0)
        with pytest.raises(AwsAway):  # and Preparation tries again
            await relay.prepare(settings)
        await wire.mend()
        await relay.prepare(settings)
        assert await provisioning.plan(settings) == [plan.NOTHING]


async def test_with_pgmq_there_is_nothing_to_provision() -> None:
    with pytest.raises(NothingToProvision, match="banyan up"):
        await provisioning.plan(Settings.read({}))


def test_policies_that_say_the_same_in_another_way_are_the_same() -> None:
    wanted = plan.wanted(NAMES, HERE, [ACCOUNTS])
    queues = {
        name: {key: _as_aws_writes(value) for key, value in attributes.items()}
        for name, attributes in wanted.queues.items()
    }
    found = plan.Setup(wanted.topics, queues, wanted.subscriptions)
    assert plan.steps(wanted, found, NAMES) == []


def _as_aws_writes(value: str) -> str:
    if not value.startswith("{"):
        return value
    read = json.loads(value)
    if "maxReceiveCount" in read:
        read["maxReceiveCount"] = str(read["maxReceiveCount"])
    for statement in read.get("Statement", []):
        statement["Condition"]["ArnEquals"]["aws:SourceArn"] = statement["Condition"]["ArnEquals"]["aws:SourceArn"][0]
    return json.dumps(read, sort_keys=True, indent=1)


def test_a_queue_takes_events_from_its_own_topic_only() -> None:
    wanted = plan.wanted(NAMES, HERE, SUBSCRIPTIONS)
    for subscription in SUBSCRIPTIONS:
        policy = json.loads(wanted.queues[NAMES.queue(subscription.queue)]["Policy"])
        [statement] = policy["Statement"]
        [source] = {envelope.source_of(event.TYPE) for event in subscription.events}
        assert statement["Principal"] == {"Service": "sns.amazonaws.com"}
        assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": [HERE.arn("sns", NAMES.topic(source))]}}


def test_nobody_may_more_at_aws_than_its_part_needs() -> None:
    settings = Settings.read({"BANYAN_BROKER": "sns+sqs"})
    policies = provisioning.policies(settings, account="123456789012")
    may = {
        who: {action: set(one["Resource"]) for one in policy["Statement"] for action in one["Action"]}
        for who, policy in policies.items()
    }
    assert set(may) == {"relay", "provisioner", *(one.role for one in SUBSCRIPTIONS)}
    assert not any("*" in action for actions in may.values() for action in actions)
    assert {action for action in may["relay"] if "Receive" in action or "Delete" in action} == set()
    for role in {one.role for one in SUBSCRIPTIONS}:
        assert not any(action.startswith("sns:") or "Send" in action for action in may[role])
        own = {one.consumer for one in SUBSCRIPTIONS if one.role == role}
        for resource in may[role]["sqs:ReceiveMessage"]:
            assert any(f":banyan-{consumer}" in resource for consumer in own)
    assert not any("Delete" in action or "Publish" in action for action in may["provisioner"])
