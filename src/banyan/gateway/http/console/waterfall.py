"""One request as a waterfall: a bar for each span, under the one that caused it, and what went on after the answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from banyan.contracts.monitor import Span, Trace
from banyan.gateway.http.console import map as drawing
from banyan.gateway.http.console.figures import took

WIDTH, NAMES, ROW, TOP = 1200, 400, 26, 30
MOST_ROWS = 300
HUES = 6
_EDGE = 84  # what is written behind a bar that ends last
_LEAST_BAR = 2.5
_INDENT, _DEEPEST = 14, 10
_STATEMENT = ("db.query.text", "db.statement")


@dataclass(frozen=True, slots=True)
class Bar:
    span: Span
    depth: int
    role: drawing.Role
    hue: int
    """Which colour its process has, counted by their first spans."""
    x: float
    y: float
    width: float
    after: bool
    """It ended after the answer had gone out: what events set off."""
    statement: str

    @property
    def indent(self) -> float:
        return min(self.depth, _DEEPEST) * _INDENT


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    height: float
    bars: list[Bar]
    ticks: list[Tick]
    answered: float | None
    """Where the request had its answer, if something went on after that."""
    left_out: int
    processes: list[tuple[str, drawing.Role, int]]


def waterfall(trace: Trace) -> Waterfall:
    ordered = _in_order(trace.spans)
    shown = ordered[:MOST_ROWS]
    whole = max([trace.took_ms, 1.0, *(span.start_ms + span.took_ms for span, _ in shown)])
    scale = (WIDTH - NAMES - _EDGE) / whole
    answered = _answered(trace.spans)
    hues = {name: number for number, name in enumerate(dict.fromkeys(span.process for span, _ in shown))}
    bars = [
        Bar(
            span,
            depth,
            drawing.role_of(span.process),
            hues[span.process] % HUES,
            x=round(NAMES + max(0.0, span.start_ms) * scale, 1),
            y=TOP + number * ROW,
            width=round(max(_LEAST_BAR, span.took_ms * scale), 1),
            after=answered is not None and span.start_ms >= answered,
            statement=next((span.attributes[name] for name in _STATEMENT if span.attributes.get(name)), ""),
        )
        for number, (span, depth) in enumerate(shown)
    ]
    goes_on = any(bar.after for bar in bars)
    return Waterfall(
        height=TOP + len(bars) * ROW + 8,
        bars=bars,
        ticks=[Tick(round(NAMES + at * scale, 1), took(at) if at else "0") for at in _ticks(whole)],
        answered=round(NAMES + answered * scale, 1) if goes_on and answered is not None else None,
        left_out=len(ordered) - len(shown),
        processes=[(name, drawing.role_of(name), hue % HUES) for name, hue in hues.items()],
    )


def _in_order(spans: Sequence[Span]) -> list[tuple[Span, int]]:
    """Each under its parent, siblings by their start. Spans may name each other, or parents that nobody knows."""
    known = {span.span_id: span for span in spans}
    children: dict[str | None, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.start_ms):
        parent = span.parent_id if span.parent_id in known and span.parent_id != span.span_id else None
        children.setdefault(parent, []).append(span)
    ordered = _below(None, children)
    seen = {span.span_id for span, _ in ordered}
    return ordered + [(span, 0) for span in spans if span.span_id not in seen]


def _below(parent: str | None, children: Mapping[str | None, Sequence[Span]]) -> list[tuple[Span, int]]:
    ordered: list[tuple[Span, int]] = []
    seen: set[str] = set()
    waiting = [(span, 0) for span in reversed(children.get(parent, ()))]
    while waiting:
        span, depth = waiting.pop()
        if span.span_id in seen:
            continue
        seen.add(span.span_id)
        ordered.append((span, depth))
        waiting.extend((child, depth + 1) for child in reversed(children.get(span.span_id, ())))
    return ordered


def _answered(spans: Sequence[Span]) -> float | None:
    """When the first server span ended: that was what the browser waited for."""
    first = min((span for span in spans if span.kind == "server"), key=lambda span: span.start_ms, default=None)
    return None if first is None else first.start_ms + first.took_ms


def _ticks(whole: float) -> list[float]:
    rough = whole / 5
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if rough <= power * factor)
    return [number * step for number in range(int(whole / step) + 1)]
