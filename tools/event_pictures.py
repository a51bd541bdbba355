"""The life of an event, and what carries it, as diagrams drawn from the subscriptions, the settings and the brokers."""

import dataclasses
from collections.abc import Iterable

from banyan.infra.settings import Settings
from banyan.messaging import envelope
from banyan.messaging.broker import Feature
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.pgmq import PgmqBroker
from banyan.messaging.sqs.broker import SqsBroker
from banyan.messaging.sqs.names import Names
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tools.canvas import Canvas

_DEFAULTS = {known.name: known.default for known in dataclasses.fields(Settings)}
_WORDS = {
    Feature.ORDER_BY_KEY: "events of a key in their order",
    Feature.DURABLE: "outlives its own process",
    Feature.RIGHTS: "each context reads its own queues only",
    Feature.LISTENING: "tells readers that something came",
    Feature.ARCHIVE: "keeps what was buried, with the reason",
    Feature.GIVES_UP: "puts what is lent too often aside",
    Feature.AGE: "knows how long the oldest has waited",
}


def event() -> Canvas:
    sheet = Canvas(860, 420, "An event: written with the rows it tells of, published by the relay, consumed once")
    days = round(float(_DEFAULTS["event_retention"]))
    _stack(sheet, 10, 230, "one transaction", _TOLD)
    sheet.box(266, 128, 116, 64, "relay", "publishes, then", "deletes there", kind="gateway")
    sheet.arrow((226, 208), (266, 182))
    sheet.area(454, 10, 184, 260, "the broker: a copy for each")
    step = 214 / len(SUBSCRIPTIONS)
    for number, one in enumerate(SUBSCRIPTIONS):
        top = 46 + step * number
        heard = (envelope.name_of(kind.TYPE).rpartition(".")[2] for kind in one.events)
        sheet.box(468, top, 156, step - 14, "queue", one.queue, *_wrapped(heard), code=True)
        sheet.arrow((382, 160), (468, top + step / 2 - 7), kind="gateway")
    _stack(sheet, 680, 170, "one transaction", _HEARD)
    sheet.arrow((638, 140), (680, 140), kind="new")
    sheet.area(10, 310, 628, 100, "")
    sheet.box(28, 332, 194, 56, "replay", "the store, once more,", "at a bounded rate")
    sheet.arrow((125, 332), (125, 252), dashed=True)
    sheet.box(258, 332, 154, 56, "archive", f"days older than {days},", "as Parquet")
    sheet.arrow((240, 240), (320, 332), dashed=True, upright=True)
    sheet.arrow((412, 360), (468, 360), dashed=True)
    sheet.box(468, 332, 156, 56, "rebuild", "anew, beside the old;", "then swapped")
    sheet.arrow((624, 346), (710, 270), kind="new", dashed=True)
    sheet.box(724, 332, 126, 56, "iam", "the key of each", "person's data", kind="new")
    sheet.arrow((787, 332), (787, 270), dashed=True)
    return sheet


def brokers() -> Canvas:
    """The same promises by three roads, and what one has and another lacks."""
    fifo = Names(prefix=str(_DEFAULTS["queue_prefix"]), fifo=True)
    one = SUBSCRIPTIONS[0]
    source = envelope.source_of(one.events[0].TYPE)
    roads = (
        ("pgmq", "in PostgreSQL,", "the default", "a row for each type", "pgmq.topic_bindings", f"pgmq.q_{one.queue}"),
        ("sns+sqs", "at AWS", "", "a topic of SNS", fifo.topic(source), fifo.queue(one.queue)),
        ("memory", "in the process,", "for tests", "a match by name", f"banyan.{source}.*", one.queue),
    )
    features = list(Feature)
    top = 96 * len(roads) + 46
    sheet = Canvas(860, top + 24 * len(features) + 12, "Three brokers: one relay, one kind of consumer, three roads")
    sheet.box(10, 20, 90, 96 * len(roads) - 24, "relay", kind="gateway")
    sheet.box(760, 20, 90, 96 * len(roads) - 24, "consumer", kind="new")
    for number, (name, where, more, topic, by, queue) in enumerate(roads):
        y = 20 + 96 * number
        sheet.box(140, y, 130, 72, name, *filter(None, (where, more)))
        sheet.box(300, y, 176, 72, topic, by, code=True)
        sheet.box(506, y, 222, 72, "queue", queue, code=True)
        for start, end in ((100, 140), (270, 300), (476, 506)):
            sheet.arrow((start, y + 36), (end, y + 36), kind="gateway")
        sheet.arrow((728, y + 36), (760, y + 36), kind="new")
    columns = {
        "pgmq": PgmqBroker.features,
        "sns+sqs, fifo": SqsBroker(fifo).features,
        "sns+sqs, standard": SqsBroker(dataclasses.replace(fifo, fifo=False)).features,
        "memory": MemoryBroker.features,
    }
    across = {name: 390 + 130 * number for number, name in enumerate(columns)}
    for name, x in across.items():
        sheet.text(x, top - 6, name, style="m c")
    for row, feature in enumerate(features):
        y = top + 20 + 24 * row
        sheet.line((20, y - 16), (840, y - 16))
        sheet.text(20, y, _WORDS[feature], anchor="start")
        for name, has in columns.items():
            sheet.text(across[name], y, "yes" if feature in has else "-", style="" if feature in has else "m")
    return sheet


_TOLD = (
    ("rows", "what has changed"),
    ("event", "the store: a table for each day"),
    ("outbox", "what waits for the relay"),
)
_HEARD = (
    ("rows", "the effect"),
    ("inbox", "the event's id: once"),
    ("dead letters", "instead, if it fails"),
)


def _stack(sheet: Canvas, left: float, width: float, title: str, parts: Iterable[tuple[str, str]]) -> None:
    sheet.area(left, 10, width, 260, title)
    for number, (name, words) in enumerate(parts):
        sheet.box(left + 14, 44 + 74 * number, width - 28, 60, name, words, kind="new")


def _wrapped(names: Iterable[str]) -> list[str]:
    known = list(names)
    return [*known[:2], *(["..."] if len(known) > 2 else [])]
