"""What there should be at AWS, what there is, and the steps from one to the other. Nothing here asks AWS."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from banyan.messaging import envelope
from banyan.messaging.sqs.client import Account
from banyan.messaging.sqs.names import Names
from banyan.messaging.subscriptions import Subscription

NOTHING = "= nothing to do"
_KEPT_SECONDS = 14 * 24 * 3600  # as long as AWS keeps a message at all
# The last resort, and as high as AWS allows: a consumer has put an event aside long before. Giving back what it cannot
# handle while something else is away counts, too, so a low number would take events out of their order for no fault.
_MOST_DELIVERIES = 1000

Attributes = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Bound:
    """A queue's subscription to a topic; `arn` where it is there."""

    attributes: Attributes
    arn: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """Topics and queues by name, subscriptions by the names of both."""

    topics: Mapping[str, Attributes] = field(default_factory=dict)
    queues: Mapping[str, Attributes] = field(default_factory=dict)
    subscriptions: Mapping[tuple[str, str], Bound] = field(default_factory=dict)


class Do(StrEnum):
    MAKE_QUEUE = "make queue"
    CHANGE_QUEUE = "change queue"
    MAKE_TOPIC = "make topic"
    CHANGE_TOPIC = "change topic"
    SUBSCRIBE = "subscribe"
    CHANGE_SUBSCRIPTION = "change subscription"
    UNSUBSCRIBE = "unsubscribe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`line` says it to people. `attributes` are those to set."""

    do: Do
    line: str
    topic: str = ""
    queue: str = ""
    arn: str = ""
    attributes: Attributes = field(default_factory=dict)


def wanted(names: Names, account: Account, subscriptions: Sequence[Subscription]) -> Setup:
    """A topic for each context that tells, a queue for each consumer, and one beside it for what was lent in vain."""
    topics: dict[str, Attributes] = {names.topic(source): _topic(names) for source in sources()}
    queues: dict[str, Attributes] = {}
    bound: dict[tuple[str, str], Bound] = {}
    for subscription in subscriptions:
        queue, dead = names.queue(subscription.queue), names.dead(subscription.queue)
        told = sorted({names.topic(envelope.source_of(event.TYPE)) for event in subscription.events})
        queues[dead] = _dead_queue(names, account, queue)
        queues[queue] = _queue(names, account, queue, dead, told)
        for topic in told:
            kinds = [e.TYPE for e in subscription.events if names.topic(envelope.source_of(e.TYPE)) == topic]
            bound[topic, queue] = Bound(_subscription(kinds))
    return Setup(topics, queues, bound)


def steps(wanted: Setup, found: Setup, names: Names) -> list[Step]:
    """In the order in which they can be done: nothing is told to a queue that may not be written to yet."""
    return [
        *_for(wanted.queues, found.queues, "queue", Do.MAKE_QUEUE, Do.CHANGE_QUEUE),
        *_for(wanted.topics, found.topics, "topic", Do.MAKE_TOPIC, Do.CHANGE_TOPIC),
        *_subscribing(wanted.subscriptions, found.subscriptions),
        *_unsubscribing(wanted.subscriptions, found.subscriptions, names),
    ]


def lines(steps: Sequence[Step]) -> list[str]:
    return [step.line for step in steps] or [NOTHING]


def sources() -> list[str]:
    """The contexts that tell of anything."""
    return sorted({envelope.source_of(kind) for kind in envelope.TYPES})


def _topic(names: Names) -> Attributes:
    # Without the last one all keys of a topic share 300 messages in a second.
    fifo = {"FifoTopic": "true", "ContentBasedDeduplication": "false", "FifoThroughputScope": "MessageGroup"}
    return fifo if names.fifo else {}


def _kept(names: Names) -> dict[str, str]:
    fifo = {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }
    return {"MessageRetentionPeriod": str(_KEPT_SECONDS), **(fifo if names.fifo else {})}


def _dead_queue(names: Names, account: Account, queue: str) -> Attributes:
    allowed = {"redrivePermission": "byQueue", "sourceQueueArns": [account.arn("sqs", queue)]}
    return {**_kept(names), "RedriveAllowPolicy": json.dumps(allowed)}


def _queue(names: Names, account: Account, queue: str, dead: str, topics: Sequence[str]) -> Attributes:
    may_send = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": account.arn("sqs", queue),
        "Condition": {"ArnEquals": {"aws:SourceArn": [account.arn("sns", topic) for topic in topics]}},
    }
    redrive = {"deadLetterTargetArn": account.arn("sqs", dead), "maxReceiveCount": _MOST_DELIVERIES}
    return {
        **_kept(names),
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": [may_send]}),
        "RedrivePolicy": json.dumps(redrive),
    }


def _subscription(kinds: Sequence[str]) -> Attributes:
    # Every version, so that one which is too new for its consumer waits for it.
    prefixes = sorted({f"{envelope.name_of(kind)}." for kind in kinds})
    return {
        "RawMessageDelivery": "true",
        "FilterPolicyScope": "MessageAttributes",
        "FilterPolicy": json.dumps({"type": [{"prefix": prefix} for prefix in prefixes]}),
    }


def _for(
    wanted: Mapping[str, Attributes], found: Mapping[str, Attributes], kind: str, make: Do, change: Do
) -> Iterator[Step]:
    for name, attributes in wanted.items():
        named = {kind: name}
        if name not in found:
            yield Step(do=make, line=f"+ {kind} {name}", attributes=attributes, **named)
        elif changed := _changed(attributes, found[name]):
            line = f"~ {_said(changed)} of {kind} {name}"
            yield Step(do=change, line=line, attributes=changed, **named)


def _subscribing(wanted: Mapping[tuple[str, str], Bound], found: Mapping[tuple[str, str], Bound]) -> Iterator[Step]:
    for (topic, queue), bound in wanted.items():
        there = found.get((topic, queue))
        if there is None:
            line = f"+ subscription of {queue} to {topic}"
            yield Step(do=Do.SUBSCRIBE, line=line, topic=topic, queue=queue, attributes=bound.attributes)
        elif changed := _changed(bound.attributes, there.attributes):
            line = f"~ {_said(changed)} of {queue}"
            yield Step(
                do=Do.CHANGE_SUBSCRIPTION, line=line, topic=topic, queue=queue, arn=there.arn, attributes=changed
            )


def _unsubscribing(
    wanted: Mapping[tuple[str, str], Bound], found: Mapping[tuple[str, str], Bound], names: Names
) -> Iterator[Step]:
    for (topic, queue), bound in found.items():
        if (topic, queue) not in wanted and names.is_ours(queue):
            line = f"- subscription of {queue} to {topic}, which nobody declares any more (the queue stays)"
            yield Step(do=Do.UNSUBSCRIBE, line=line, topic=topic, queue=queue, arn=bound.arn)


def _changed(wanted: Attributes, found: Attributes) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if _read(value) != _read(found.get(name, ""))}


def _read(value: str) -> object:
    """Policies say the same in any order of their names, and AWS writes some of their numbers as text."""
    if not value.startswith("{"):
        return value
    try:
        return _plain(json.loads(value))
    except ValueError:
        return value


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        parts = sorted((_plain(part) for part in value), key=repr)
        return parts[0] if len(parts) == 1 else parts
    return str(value)


_WORDS = {
    "FilterPolicy": "filter policy",
    "FilterPolicyScope": "scope of the filter policy",
    "RawMessageDelivery": "raw delivery",
    "RedrivePolicy": "redrive policy",
    "RedriveAllowPolicy": "redrive permission",
    "Policy": "policy",
    "MessageRetentionPeriod": "retention",
}


def _said(changed: Iterable[str]) -> str:
    return ", ".join(_WORDS.get(name, name) for name in changed)
