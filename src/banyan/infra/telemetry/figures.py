"""What this process has done since it started, counted where it is done.

Everything here runs on the event loop's thread, so plain additions need no lock.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from weakref import WeakSet

from banyan import __version__
from banyan.contracts.monitor import Depth, Figures, Histogram, Letters, Pool, Tally

BOUNDS_MS = (
    *(0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700),
    *(1000, 1500, 2000, 3000, 5000, 10_000, 30_000),
)
_BOUNDS = [bound / 1000 for bound in BOUNDS_MS]
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
UNMATCHED = "(none)"


class Meter:
    """How often something was done, how long it took, and how often it failed."""

    __slots__ = ("counts", "failed", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.seconds = 0.0
        self.failed = 0

    def note(self, seconds: float, *, failed: bool = False) -> None:
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.seconds += seconds
        if failed:
            self.failed += 1

    def tally(self) -> Tally:
        return _sum([self])


class Measured(Protocol):
    """A pool of connections that says how full it is."""

    name: str

    def fill(self) -> Pool: ...


@dataclass(slots=True)
class Ledger:
    """All figures of a process. The keys of `requests` are method, template of the route, and class of the status."""

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    relieves: bool = False
    loop_lag_ms: float = 0.0
    in_flight: int = 0
    shed: int = 0
    spans_lost: int = 0
    requests: dict[tuple[str, str, int], Meter] = field(default_factory=dict)
    calls: dict[str, Meter] = field(default_factory=dict)
    sql: dict[str, Meter] = field(default_factory=dict)
    pools: WeakSet[Measured] = field(default_factory=WeakSet)
    published: dict[str, int] = field(default_factory=dict)
    handled: dict[str, Meter] = field(default_factory=dict)
    outboxes: dict[str, Depth] = field(default_factory=dict)
    queues: dict[str, Depth] = field(default_factory=dict)
    letters: dict[str, Letters] = field(default_factory=dict)

    def request(self, method: str, route: str, status: int) -> Meter:
        key = (method if method in _METHODS else "other", route, status // 100)
        meter = self.requests.get(key)
        if meter is None:
            meter = self.requests[key] = Meter()
        return meter

    def call(self, peer: str) -> Meter:
        return self.calls.setdefault(peer, Meter())

    def statement(self, database: str) -> Meter:
        return self.sql.setdefault(database, Meter())

    def consumer(self, name: str) -> Meter:
        return self.handled.setdefault(name, Meter())

    def publish(self, source: str, events: int) -> None:
        self.published[source] = self.published.get(source, 0) + events

    def fill(self) -> dict[str, Pool]:
        """Pools on the same database count as one."""
        found: dict[str, Pool] = {}
        for measured in self.pools:
            one = measured.fill()
            known = found.get(measured.name, Pool(0, 0, 0))
            found[measured.name] = Pool(known.used + one.used, known.size + one.size, known.waiting + one.waiting)
        return found

    def figures(self, process: str) -> Figures:
        return Figures(
            process=process,
            version=__version__,
            started_at=self.started_at,
            relieves=self.relieves,
            loop_lag_ms=round(self.loop_lag_ms, 1),
            in_flight=self.in_flight,
            shed=self.shed,
            requests=_sum(list(self.requests.values())),
            calls={peer: meter.tally() for peer, meter in self.calls.items()},
            sql={database: meter.tally() for database, meter in self.sql.items()},
            pools=self.fill(),
            published=dict(self.published),
            handled={consumer: meter.tally() for consumer, meter in self.handled.items()},
            outboxes=dict(self.outboxes),
            queues=dict(self.queues),
            letters=dict(self.letters),
        )


LEDGER = Ledger()
"""This process's own."""


def enter() -> None:
    """A request is being worked on."""
    LEDGER.in_flight += 1


def leave() -> None:
    """It is not any more; or what remains of it is a stream, which may stay open for hours."""
    LEDGER.in_flight -= 1


def shed() -> None:
    """A request was refused because there are too many."""
    LEDGER.shed += 1


def _sum(meters: list[Meter]) -> Tally:
    counts = [sum(places) for places in zip(*(meter.counts for meter in meters), strict=True)] or [0] * (
        len(_BOUNDS) + 1
    )
    took = Histogram(list(BOUNDS_MS), counts, round(1000 * sum(meter.seconds for meter in meters), 3))
    return Tally(sum(counts), sum(meter.failed for meter in meters), took)
