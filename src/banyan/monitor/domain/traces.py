"""Recent traces in bounded memory: spans come late, in any order, and from several processes. What is old and quick
goes first; what was slow or failed stays longer."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from banyan.contracts.monitor import Span, Trace, TraceHead

_SPANS_OF_A_TRACE = 500
_KEPT_SECONDS = 60.0
_FAILED_WEIGHT = 30.0
_SPACE_MADE = 0.1
_REQUEST_ID = ("request_id", "banyan.request_id", "guid:x-request-id", "http.request.header.x-request-id")


@dataclass(frozen=True, slots=True)
class FoundSpan:
    """A span as it was sent; nanoseconds since 1970, `size` in bytes, about."""

    trace_id: str
    span_id: str
    parent_id: str | None
    process: str
    name: str
    kind: str
    start: int
    end: int
    error: bool
    attributes: dict[str, str]
    size: int


@dataclass(slots=True)
class _Kept:
    spans: dict[str, FoundSpan] = field(default_factory=dict)
    seen: float = 0.0
    size: int = 0
    start: int = 0
    end: int = 0
    errors: int = 0

    def add(self, span: FoundSpan, *, now: float) -> int:
        """How much was added."""
        self.seen = now
        if span.span_id in self.spans or len(self.spans) >= _SPANS_OF_A_TRACE:
            return 0
        self.start = min(self.start, span.start) if self.spans else span.start
        self.end = max(self.end, span.end)
        self.spans[span.span_id] = span
        self.size += span.size
        self.errors += span.error
        return span.size

    @property
    def first(self) -> FoundSpan:
        """The root; where it has not come (yet), what began first and knows no parent here."""
        return min(
            self.spans.values(),
            key=lambda span: (span.parent_id is not None, span.parent_id in self.spans, span.start),
        )

    @property
    def keep_until(self) -> float:
        slow_ms = (self.first.end - self.first.start) / 1e6
        weight = _FAILED_WEIGHT if self.errors else min(_FAILED_WEIGHT, 1.0 + math.sqrt(max(0.0, slow_ms) / 10.0))
        return self.seen + _KEPT_SECONDS * weight


class TraceStore:
    """At most `most_traces` traces and, about, `most_bytes` bytes."""

    def __init__(self, *, most_traces: int = 2000, most_bytes: int = 48_000_000) -> None:
        self._most_traces = most_traces
        self._most_bytes = most_bytes
        self._kept: dict[str, _Kept] = {}
        self._size = 0

    def add(self, spans: Iterable[FoundSpan], *, now: float) -> None:
        """`now` only grows; it is in seconds."""
        for span in spans:
            self._size += self._kept.setdefault(span.trace_id, _Kept()).add(span, now=now)
        if len(self._kept) > self._most_traces or self._size > self._most_bytes:
            self._make_space()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        return self._size

    def heads(
        self, *, min_ms: float = 0.0, process: str = "", errors: bool = False, request_id: str = ""
    ) -> list[TraceHead]:
        """The slowest first. A trace takes as long as its first span: what it set going may come much later."""
        heads = [_head(trace_id, kept) for trace_id, kept in self._kept.items() if kept.errors or not errors]
        found = [
            head
            for head in heads
            if head.took_ms >= min_ms
            and (not process or process in head.processes)
            and request_id in ("", head.request_id)
        ]
        return sorted(found, key=lambda head: (-head.took_ms, head.trace_id))

    def find(self, trace_id: str) -> Trace | None:
        kept = self._kept.get(trace_id)
        if kept is None:
            return None
        spans = sorted(kept.spans.values(), key=lambda span: (span.start, -span.end, span.span_id))
        return Trace(
            trace_id=trace_id,
            at=_moment(kept.start),
            took_ms=_ms(kept.start, kept.end),
            spans=[
                Span(
                    span_id=span.span_id,
                    parent_id=span.parent_id,
                    process=span.process,
                    name=span.name,
                    kind=span.kind,
                    start_ms=_ms(kept.start, span.start),
                    took_ms=_ms(span.start, span.end),
                    error=span.error,
                    attributes=span.attributes,
                )
                for span in spans
            ],
        )

    def _make_space(self) -> None:
        """A tenth at a time, so that it need not be done for every trace that comes."""
        traces = self._most_traces * (1 - _SPACE_MADE)
        size = self._most_bytes * (1 - _SPACE_MADE)
        for trace_id in sorted(self._kept, key=lambda known: self._kept[known].keep_until):
            if len(self._kept) <= traces and self._size <= size:
                return
            self._size -= self._kept.pop(trace_id).size


def _head(trace_id: str, kept: _Kept) -> TraceHead:
    first = kept.first
    request_id = next(
        (span.attributes[key] for span in kept.spans.values() for key in _REQUEST_ID if span.attributes.get(key)), ""
    )
    return TraceHead(
        trace_id=trace_id,
        name=first.name,
        at=_moment(kept.start),
        took_ms=_ms(first.start, first.end),
        spans=len(kept.spans),
        errors=kept.errors,
        processes=list(dict.fromkeys(span.process for span in sorted(kept.spans.values(), key=lambda s: s.start))),
        request_id=request_id,
    )


def _moment(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC)


def _ms(start: int, end: int) -> float:
    return round(max(0, end - start) / 1e6, 3)
