"""Spans of the requests that Envoy has sampled. For all others the cost is a look at one byte, and at one variable.

Whoever does something worth a span asks for one here, and gets None where nothing is traced.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import Span

Kind = Literal["server", "client", "internal", "producer", "consumer"]
Attributes = Mapping[str, str | int | bool]

TRACEPARENT = "traceparent"
REQUEST_ID = "banyan.request_id"
STREAM = "banyan.stream"
"""An answer without an end: how long it took says how long somebody watched."""

_LENGTH = 55
_ODD = frozenset("13579bdf")
_LONGEST_STATEMENT = 400

CURRENT: ContextVar["Span | None"] = ContextVar("banyan_span", default=None)


class Maker(Protocol):
    """Makes spans and sees to it that they get where they are looked at."""

    def start(self, name: str, kind: Kind, parent: "str | Span", attributes: Attributes) -> "Span": ...


_maker: Maker | None = None


def make_by(maker: Maker | None) -> None:
    """From now on; until then nothing is traced."""
    global _maker  # noqa: PLW0603 # a process has one, and it comes when the SDK has been loaded
    _maker = maker


def sampled(traceparent: str) -> bool:
    return len(traceparent) == _LENGTH and traceparent[-1] in _ODD


def remote(traceparent: str, name: str, kind: Kind, attributes: Attributes) -> "Span | None":
    """What somebody else's span led to here."""
    if _maker is None or not sampled(traceparent):
        return None
    return _maker.start(name, kind, traceparent, attributes)


def child(name: str, kind: Kind, attributes: Attributes) -> "Span | None":
    """A part of what is traced just now. The caller ends it."""
    parent = CURRENT.get()
    if parent is None or _maker is None or not parent.is_recording():
        return None
    return _maker.start(name, kind, parent, attributes)


def statement(database: str, query: str) -> "Span | None":
    """A statement without its values; ours are never in its text."""
    name, text = _described(query)
    attributes = {"db.system.name": "postgresql", "db.namespace": database, "db.query.text": text}
    return child(f"{name} {database}", "client", attributes)


def fail(span: "Span", fault: BaseException | None = None) -> None:
    """Mark a span. Of a fault only its kind is told: its text may repeat what it was about."""
    from opentelemetry.trace import StatusCode

    span.set_status(StatusCode.ERROR)
    if fault is not None:
        span.set_attribute("error.type", type(fault).__name__)


@contextmanager
def within(span: "Span | None") -> Iterator[None]:
    """What happens in the block is part of that span, or of none."""
    token = CURRENT.set(span)
    try:
        yield
    finally:
        CURRENT.reset(token)


def of_events(verb: str, kind: Kind, events: "Sequence[tuple[str, str | None]]") -> "list[Span | None]":
    """A span for each event (its type and its traceparent) whose trace is kept."""
    return [
        remote(parent, f"{verb} {event_type}", kind, {"messaging.batch.message_count": len(events)}) if parent else None
        for event_type, parent in events
    ]


@contextmanager
def all_within(spans: "Sequence[Span | None]") -> Iterator[None]:
    """What happens in the block happens for all of them; its parts are told of the first. They end with it."""
    known = [span for span in spans if span is not None]
    if not known:
        yield
        return
    try:
        with within(known[0]):
            yield
    except BaseException as fault:
        for span in known:
            fail(span, fault)
        raise
    finally:
        for span in known:
            span.end()


def traceparent_of(span: "Span") -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def headers_of(span: "Span") -> dict[str, str]:
    """What a call says of it: the second is what the private listener needs to take the first seriously."""
    return {TRACEPARENT: traceparent_of(span), "x-client-trace-id": f"{span.get_span_context().trace_id:032x}"}


def traceparent() -> str | None:
    """Of what is traced just now, for whoever does the next part of it."""
    span = CURRENT.get()
    return traceparent_of(span) if span is not None else None


def trace_id() -> str | None:
    span = CURRENT.get()
    return f"{span.get_span_context().trace_id:032x}" if span is not None else None


@lru_cache(maxsize=1024)
def _described(query: str) -> tuple[str, str]:
    """(what it does, one bounded line)"""
    text = " ".join(query.split())
    verb = text.split(" ", 1)[0][:20].rstrip(";").upper()
    if verb == "WITH":
        verb = next((word for word in ("INSERT", "UPDATE", "DELETE") if f"{word} " in text), "SELECT")
    return verb, text[:_LONGEST_STATEMENT]
