"""`docs/asyncapi.json`: the events as an AsyncAPI 3.0 document, from the contracts and the subscriptions.

A topic of each context that tells, a queue of each consumer; PGMQ and SNS with SQS carry them in the same way.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from banyan.infra.settings import Settings
from banyan.messaging import limits
from banyan.messaging.sqs import plan
from banyan.messaging.sqs.client import Account
from banyan.messaging.sqs.names import Names
from banyan.messaging.subscriptions import SUBSCRIPTIONS, Subscription
from tools import event_schema
from tools.event_schema import EVENTS, Kind, Schema

Document = dict[str, Any]

MEDIA_TYPE = "application/cloudevents+json"
VERSION = "1.0.0"
"""Of the document's form; each message has a version of its own in its type."""

_LICENCE = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}


def text(files: Mapping[Path, str]) -> str:
    """`files` are those of event_golden, with the examples."""
    return json.dumps(document(files), indent=1, ensure_ascii=False) + "\n"


def document(files: Mapping[Path, str], events: Sequence[Kind] = EVENTS) -> Document:
    examples = {path.stem: text for path, text in files.items() if path.parent.name == "examples"}
    sources = sorted({_source(event) for event in events})
    return {
        "asyncapi": "3.0.0",
        "id": "urn:banyan:events",
        "info": {
            "title": "Banyan's events",
            "version": VERSION,
            "description": "What happened, told by the context that owns it. Delivered at least once, in the order of "
            "a key; a consumer's inbox makes the effect once. Generated from src/banyan/contracts/events.py.",
            "license": _LICENCE,
        },
        "defaultContentType": MEDIA_TYPE,
        "servers": _servers(),
        "channels": {
            **{_topic_name(source): _topic(source, events) for source in sources},
            **{_queue_name(one): _queue(one) for one in SUBSCRIPTIONS},
        },
        "operations": {
            **{f"{source}-tells": _telling(source, events) for source in sources},
            **{f"{one.consumer}-hears": _hearing(one) for one in SUBSCRIPTIONS},
        },
        "components": {
            "messages": {event.TYPE: _message(event, examples[event.TYPE]) for event in events},
            "schemas": {event.__name__: event_schema.schema(event) for event in events},
        },
    }


def _servers() -> Document:
    region = {"region": {"description": "AWS_REGION", "default": "ap-northeast-2"}}
    return {
        "pgmq": {
            "host": "localhost",
            "pathname": "/bus",
            "protocol": "pgmq",
            "protocolVersion": "1.13",
            "title": "PGMQ in PostgreSQL",
            "description": "The default: BANYAN_BROKER=pgmq. BANYAN_BUS_DATABASE_URL names another server.",
        },
        "sns": {
            "host": "sns.{region}.amazonaws.com",
            "protocol": "sns",
            "title": "Amazon SNS",
            "description": "BANYAN_BROKER=sns+sqs: topics.",
            "variables": region,
        },
        "sqs": {
            "host": "sqs.{region}.amazonaws.com",
            "protocol": "sqs",
            "title": "Amazon SQS",
            "description": "BANYAN_BROKER=sns+sqs: queues.",
            "variables": region,
        },
    }


def _topic(source: str, events: Sequence[Kind]) -> Document:
    told = [event for event in events if _source(event) == source]
    return {
        "address": _names().topic(source),
        "title": f"What {source} tells",
        "description": "A topic of SNS. On PGMQ there is none: an event's type is the key it is routed by.",
        "servers": [_ref("servers", "pgmq"), _ref("servers", "sns")],
        "messages": {event.__name__: _ref("components", "messages", event.TYPE) for event in told},
        "bindings": {
            "sns": {
                "name": _names().topic(source),
                "ordering": {"type": "FIFO" if _names().fifo else "standard", "contentBasedDeduplication": False},
                "bindingVersion": "0.1.0",
            }
        },
    }


def _queue(one: Subscription) -> Document:
    return {
        "address": one.queue,
        "title": f"What {one.consumer} hears",
        "description": f"Read by {one.role}. A queue of PGMQ, or of SQS under the name in the binding.",
        "servers": [_ref("servers", "pgmq"), _ref("servers", "sqs")],
        "messages": {event.__name__: _ref("components", "messages", event.TYPE) for event in one.events},
        "bindings": {
            "sqs": {
                "queue": _at_sqs(_names().queue(one.queue)),
                "deadLetterQueue": _at_sqs(_names().dead(one.queue)),
                "bindingVersion": "0.2.0",
            }
        },
    }


def _at_sqs(name: str) -> Document:
    """As `banyan event provision` makes it."""
    made = _setup().queues[name]
    found: Document = {
        "name": name,
        "fifoQueue": made.get("FifoQueue") == "true",
        "messageRetentionPeriod": int(made["MessageRetentionPeriod"]),
    }
    if found["fifoQueue"]:
        found |= {"deduplicationScope": made["DeduplicationScope"], "fifoThroughputLimit": made["FifoThroughputLimit"]}
    if "RedrivePolicy" in made:
        redrive = json.loads(made["RedrivePolicy"])
        dead = {"name": redrive["deadLetterTargetArn"].rpartition(":")[2]}
        found["redrivePolicy"] = {"deadLetterQueue": dead, "maxReceiveCount": redrive["maxReceiveCount"]}
    return found


def _telling(source: str, events: Sequence[Kind]) -> Document:
    channel = _topic_name(source)
    told = [event for event in events if _source(event) == source]
    consumers = [_subscribed(one, _names().topic(source)) for one in SUBSCRIPTIONS if _source(one.events[0]) == source]
    bindings = {"bindings": {"sns": {"consumers": consumers, "bindingVersion": "0.1.0"}}} if consumers else {}
    return {
        "action": "send",
        "channel": _ref("channels", channel),
        "title": f"{source} tells",
        "summary": "Written in the transaction in which it happens, published by the relay.",
        "messages": [_ref("channels", channel, "messages", event.__name__) for event in told],
        **bindings,
    }


def _subscribed(one: Subscription, topic: str) -> Document:
    queue = _names().queue(one.queue)
    attributes = _setup().subscriptions[topic, queue].attributes
    return {
        "protocol": "sqs",
        "endpoint": {"name": queue},
        "filterPolicyScope": attributes["FilterPolicyScope"],
        "rawMessageDelivery": attributes["RawMessageDelivery"] == "true",
        # The binding's own field knows no matching by prefix.
        "x-filter-policy": json.loads(attributes["FilterPolicy"]),
    }


def _hearing(one: Subscription) -> Document:
    channel = _queue_name(one)
    return {
        "action": "receive",
        "channel": _ref("channels", channel),
        "title": one.consumer,
        "summary": "Handled in one transaction with its id in the inbox.",
        "messages": [_ref("channels", channel, "messages", event.__name__) for event in one.events],
    }


def _message(event: Kind, example: str) -> Document:
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "contentType": MEDIA_TYPE,
        "payload": _envelope(event),
        "correlationId": {"location": "$message.payload#/requestid", "description": "The request that it came from."},
        "examples": [{"name": event.__name__, "payload": json.loads(example)}],
        "x-key": event_schema.key_of(event),
        "x-largest-bytes": limits.LARGEST,
    }


def _envelope(event: Kind) -> Schema:
    """CloudEvents 1.0 in structured JSON, with our attributes made strict."""
    properties: Schema = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid", "description": "Version 7: sorted by time of making."},
        "source": {"const": _source(event)},
        "type": {"const": event.TYPE},
        "subject": {"type": "string", "description": "The key that order is kept by."},
        "time": {"type": "string", "format": "date-time", "description": "UTC."},
        "datacontenttype": {"const": "application/json"},
        "requestid": {"type": ["string", "null"]},
        "traceparent": {"type": ["string", "null"], "description": "W3C Trace Context."},
        "data": _ref("components", "schemas", event.__name__),
    }
    may_be_missing = {"datacontenttype", "requestid", "traceparent"}
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in may_be_missing],
    }


@functools.cache
def _setup() -> plan.Setup:
    return plan.wanted(_names(), Account(partition="aws", region="region", number="0"), SUBSCRIPTIONS)


def _names() -> Names:
    settings = Settings.read({})
    return Names(prefix=settings.queue_prefix, fifo=settings.queue_order == "fifo")


def _source(event: Kind) -> str:
    return str(event.TYPE).split(".")[1]


def _topic_name(source: str) -> str:
    return f"{source}-topic"


def _queue_name(one: Subscription) -> str:
    return f"{one.consumer}-queue"


def _ref(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
