"""What was seen at a look, made up: processes that tell figures, and what becomes of them."""

from datetime import UTC, datetime, timedelta

from banyan.contracts.monitor import Arrow, Figures, Histogram, Now, Tally
from banyan.monitor.domain import measures
from banyan.monitor.domain.measures import Values
from banyan.monitor.domain.picture import Picture
from banyan.monitor.domain.restarts import Counted, Restarts
from banyan.monitor.domain.sights import Everybody, Machine, Seen

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

SECOND = timedelta(seconds=1)

SERVERS = {"learning": "postgres-core", "bus": "postgres-aside"}

BOUNDS = [10.0, 100.0, 1000.0]


def picture(counted: Counted | None = None) -> Picture:
    return Picture(servers=SERVERS, memory_limit=lambda _: 1000, restarts=Restarts(counted))


def tally(total: int, *, failed: int = 0, slow: int = 0) -> Tally:
    return Tally(total, failed, Histogram(BOUNDS, [total - slow, 0, slow, 0]))


def figures(process: str, **told: object) -> Figures:
    return Figures(process, "1.0", NOON - timedelta(hours=1), **told)  # type: ignore[arg-type] # fields by name


def everybody(**states: str) -> Everybody:
    seen = [
        Seen(
            name=name.replace("_", "-"),
            kind="postgres" if name.startswith("postgres") else "envoy" if name == "envoy" else "process",
            state=state,
            since=NOON - timedelta(hours=1),
        )
        for name, state in states.items()
    ]
    return Everybody(seen, epoch=NOON - timedelta(hours=1))


ALL = everybody(postgres_core="ready", web="ready", learning="ready", relay="ready", live="ready", envoy="ready")


def look(seen: Picture, second: int, who: Everybody = ALL, machine: Machine | None = None) -> Now:
    return seen.look(who, machine or Machine(), at=NOON + second * SECOND)


def measured(seen: Picture, now: Now) -> Values:
    return measures.measure(now, seen, envoy_cores=2, in_flight_limit=10)


def arrow(now: Now, source: str, target: str, label: str = "") -> Arrow:
    (found,) = [each for each in now.arrows if (each.source, each.target, each.label) == (source, target, label)]
    return found
