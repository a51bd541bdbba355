"""Topics, queues and what binds them, made at AWS as the subscriptions want them. As often as one likes."""

import asyncio
import os
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from banyan.infra.settings import Settings
from banyan.kit.errors import Refused, Unavailable
from banyan.messaging.sqs import plan as planning
from banyan.messaging.sqs import policy
from banyan.messaging.sqs.client import Account, Aws, AwsRefuses, NotThere
from banyan.messaging.sqs.names import Names
from banyan.messaging.sqs.plan import Bound, Do, Setup, Step
from banyan.messaging.subscriptions import SUBSCRIPTIONS, Subscription

T = TypeVar("T")
Call: TypeAlias = tuple[str, str, dict[str, Any]]

_AT_ONCE = 8
_CALL_SECONDS = 10.0
_TRIES = 4


class NothingToProvision(Refused):
    """With BANYAN_BROKER=pgmq `banyan up` makes the queues by itself. To provision AWS, set BANYAN_BROKER=sns+sqs."""


class WrongKind(Refused):
    def __init__(self, name: str, there: str, asked: str) -> None:
        super().__init__(
            f"Queue {name} is {there}, but BANYAN_QUEUE_ORDER is {asked}, and AWS changes no queue's kind. Either set "
            f"BANYAN_QUEUE_ORDER={there}; or stop the relay, wait until the consumers have emptied that queue, delete "
            "it and its topic's subscription, and provision again; or begin anew beside it with another "
            "BANYAN_QUEUE_PREFIX."
        )


class NotSettled(Unavailable):
    """Somebody else is changing the same topics and queues at this moment."""


async def plan(settings: Settings) -> list[str]:
    """What `provision` would do, a line for each step. Raises Refusal."""
    return await _alone(settings, apply=False)


async def provision(settings: Settings) -> list[str]:
    """Make it so, and say what was done. Raises Refusal."""
    return await _alone(settings, apply=True)


def policies(settings: Settings, *, account: str = "*") -> dict[str, dict[str, Any]]:
    """The least IAM policy of each role. Needs no connection; without the account's number, `*` stands for it."""
    names = names_of(settings)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "*"
    return policy.policies(names, Account(_partition(region), region, account), SUBSCRIPTIONS)


def names_of(settings: Settings) -> Names:
    """Raises NothingToProvision."""
    if settings.broker != "sns+sqs":
        raise NothingToProvision
    return Names(prefix=settings.queue_prefix, fifo=settings.queue_order == "fifo")


async def look(aws: Aws, names: Names, subscriptions: Sequence[Subscription]) -> list[Step]:
    """The steps from what there is to what there should be. Raises WrongKind."""
    account = await aws.account()
    wanted = planning.wanted(names, account, subscriptions)
    await _refuse_the_other_kind(aws, names, subscriptions)
    queues = await _some(_attributes_of_queue(aws, name) for name in wanted.queues)
    topics = await _some(_attributes_of_topic(aws, account, name) for name in wanted.topics)
    found = Setup(dict(topics), dict(queues), await _subscriptions(aws, account, dict(topics), wanted))
    return planning.steps(wanted, found, names)


async def make(aws: Aws, names: Names, subscriptions: Sequence[Subscription]) -> list[Step]:
    """Do the steps until none is left; answers them. Somebody who does the same meanwhile does no harm."""
    done: list[Step] = []
    for attempt in range(_TRIES):
        steps = await look(aws, names, subscriptions)
        if not steps:
            return done
        try:
            await _do(aws, steps)
        except (AwsRefuses, NotThere):
            # It was there or gone already, or AWS does not show everywhere yet what was made a moment ago.
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(0.2 * 2**attempt)
            continue
        done += [step for step in steps if step.line not in {one.line for one in done}]
        await asyncio.sleep(0.2 * attempt)
    return done


async def _alone(settings: Settings, *, apply: bool) -> list[str]:
    names = names_of(settings)
    aws = Aws(connections=_AT_ONCE)
    try:
        await aws.check()
        return planning.lines(await (make if apply else look)(aws, names, SUBSCRIPTIONS))
    finally:
        await aws.close()


def _partition(region: str) -> str:
    for start, partition in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(start):
            return partition
    return "aws"


async def _refuse_the_other_kind(aws: Aws, names: Names, subscriptions: Sequence[Subscription]) -> None:
    """Both kinds can stand side by side, because their names differ; what waits in the other would wait for ever."""
    others = [names.of_the_other_kind().queue(one.queue) for one in subscriptions]
    for name, _ in await _some(_attributes_of_queue(aws, name) for name in others):
        there, asked = ("standard", "fifo") if names.fifo else ("fifo", "standard")
        raise WrongKind(name, there, asked)


async def _attributes_of_queue(aws: Aws, name: str) -> tuple[str, dict[str, str]]:
    url = (await aws.call("sqs", "get_queue_url", seconds=_CALL_SECONDS, QueueName=name))["QueueUrl"]
    what = {"QueueUrl": url, "AttributeNames": ["All"]}
    answer = await aws.call("sqs", "get_queue_attributes", seconds=_CALL_SECONDS, **what)
    return name, answer.get("Attributes", {})


async def _attributes_of_topic(aws: Aws, account: Account, name: str) -> tuple[str, dict[str, str]]:
    arn = account.arn("sns", name)
    answer = await aws.call("sns", "get_topic_attributes", seconds=_CALL_SECONDS, TopicArn=arn)
    return name, answer.get("Attributes", {})


async def _subscriptions(
    aws: Aws, account: Account, topics: Iterable[str], wanted: Setup
) -> dict[tuple[str, str], Bound]:
    found: dict[tuple[str, str], Bound] = {}
    here = account.arn("sqs", "")
    for topic in topics:
        what: dict[str, str] = {"TopicArn": account.arn("sns", topic)}
        while True:
            page = await aws.call("sns", "list_subscriptions_by_topic", seconds=_CALL_SECONDS, **what)
            for one in page.get("Subscriptions", []):
                if one["Protocol"] == "sqs" and one["Endpoint"].startswith(here):
                    found[topic, one["Endpoint"].removeprefix(here)] = Bound({}, one["SubscriptionArn"])
            if not page.get("NextToken"):
                break
            what["NextToken"] = page["NextToken"]
    asked = [key for key in found if key in wanted.subscriptions]
    read = await _some(_attributes_of_subscription(aws, key, found[key].arn) for key in asked)
    for key in asked:
        found.pop(key)
    return {**found, **dict(read)}


async def _attributes_of_subscription(aws: Aws, key: tuple[str, str], arn: str) -> tuple[tuple[str, str], Bound]:
    what = {"SubscriptionArn": arn}
    answer = await aws.call("sns", "get_subscription_attributes", seconds=_CALL_SECONDS, **what)
    return key, Bound(answer.get("Attributes", {}), arn)


async def _do(aws: Aws, steps: Sequence[Step]) -> None:
    account = await aws.account()
    for step in steps:
        calls = _queue_calls(step) if step.do in (Do.MAKE_QUEUE, Do.CHANGE_QUEUE) else _topic_calls(step, account)
        for service, operation, what in calls:
            if "QueueUrl" in what:
                answer = await aws.call("sqs", "get_queue_url", seconds=_CALL_SECONDS, QueueName=step.queue)
                what["QueueUrl"] = answer["QueueUrl"]
            await aws.call(service, operation, seconds=_CALL_SECONDS, **what)


def _queue_calls(step: Step) -> Iterator[Call]:
    attributes = dict(step.attributes)
    if step.do is Do.MAKE_QUEUE:
        yield "sqs", "create_queue", {"QueueName": step.queue, "Attributes": attributes}
    else:
        yield "sqs", "set_queue_attributes", {"QueueUrl": "", "Attributes": attributes}


def _topic_calls(step: Step, account: Account) -> Iterator[Call]:
    topic, queue = account.arn("sns", step.topic), account.arn("sqs", step.queue)
    match step.do:
        case Do.MAKE_TOPIC:
            yield "sns", "create_topic", {"Name": step.topic, "Attributes": dict(step.attributes)}
        case Do.CHANGE_TOPIC:
            for pair in step.attributes.items():
                yield "sns", "set_topic_attributes", {"TopicArn": topic, **_one(*pair)}
        case Do.SUBSCRIBE:
            asked = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": queue, "Attributes": dict(step.attributes)}
            yield "sns", "subscribe", asked
        case Do.CHANGE_SUBSCRIPTION:
            for pair in step.attributes.items():
                yield "sns", "set_subscription_attributes", {"SubscriptionArn": step.arn, **_one(*pair)}
        case Do.UNSUBSCRIBE:
            yield "sns", "unsubscribe", {"SubscriptionArn": step.arn}


def _one(name: str, value: str) -> dict[str, str]:
    return {"AttributeName": name, "AttributeValue": value}


async def _some(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The answers about those that are there, a few questions at a time."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(question: Coroutine[Any, Any, T]) -> list[T]:
        async with gate:
            try:
                return [await question]
            except NotThere:
                return []

    return [answer for answers in await asyncio.gather(*map(one, asked)) for answer in answers]
