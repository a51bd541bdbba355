"""Live figures from Envoy's counters: requests a second, errors and p99 of each side, five minutes of them.

Envoy's counters only grow, and begin at zero again with a new Envoy or a new cluster; what is kept here is what was
added between two looks.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from banyan.gateway.domain.routes import Side
from banyan.kit.percentiles import Bucket, percentile

SIDES: tuple[Side, ...] = ("old", "new")
KEPT = timedelta(minutes=5)
P99_WINDOW = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Totals:
    """A cluster's counters since its Envoy started; the buckets are milliseconds."""

    requests: int = 0
    errors: int = 0
    buckets: Mapping[Bucket, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a side did in one span of time."""

    requests: int
    errors: int
    buckets: Counter[Bucket]


@dataclass(frozen=True, slots=True)
class Point:
    """A side at one time. `requests` and `errors` are per second over the span before; `p99` is milliseconds over the
    last ten seconds, None where nothing was asked."""

    at: datetime
    requests: float
    errors: float
    p99: float | None


@dataclass(frozen=True, slots=True)
class _Span:
    start: datetime
    end: datetime
    sides: Mapping[Side, Tally]


class Traffic:
    """The last five minutes. `note` is called once a second with every cluster's totals."""

    def __init__(self) -> None:
        self._last: Mapping[str, Totals] | None = None
        self._last_at: datetime | None = None
        self._spans: deque[_Span] = deque()

    def note(self, clusters: Mapping[str, Totals], *, at: datetime) -> None:
        """Clusters are named `old~route` and `new~route`; others do not count."""
        if self._last is not None and self._last_at is not None and at > self._last_at:
            sides = {side: _tally(side, self._last, clusters) for side in SIDES}
            self._spans.append(_Span(self._last_at, at, sides))
        self._last, self._last_at = clusters, at
        while self._spans and self._spans[0].start < at - KEPT:
            self._spans.popleft()

    def lose_sight(self) -> None:
        """Envoy did not answer: what it counts until the next look belongs to no second."""
        self._last = None

    def points(self, side: Side) -> list[Point]:
        spans = list(self._spans)
        points: list[Point] = []
        window: Counter[Bucket] = Counter()
        first = 0
        for span in spans:
            tally = span.sides[side]
            window.update(tally.buckets)
            while spans[first].end <= span.end - P99_WINDOW:
                window.subtract(spans[first].sides[side].buckets)
                first += 1
            seconds = (span.end - span.start).total_seconds()
            points.append(
                Point(span.end, tally.requests / seconds, tally.errors / seconds, percentile(window, fraction=0.99))
            )
        return points


def totals(clusters: Mapping[str, Totals], side: Side) -> Sequence[tuple[str, Totals]]:
    return [(name, found) for name, found in clusters.items() if name.startswith(f"{side}~")]


def _tally(side: Side, before: Mapping[str, Totals], now: Mapping[str, Totals]) -> Tally:
    requests = errors = 0
    buckets: Counter[Bucket] = Counter()
    for name, new in totals(now, side):
        old = before.get(name, Totals())
        if new.requests < old.requests:
            old = Totals()  # counted from zero again
        requests += new.requests - old.requests
        errors += max(0, new.errors - old.errors)
        for bucket, count in new.buckets.items():
            added = count - old.buckets.get(bucket, 0)
            if added > 0:
                buckets[bucket] += added
    return Tally(requests, errors, buckets)
