"""What a rule can be about: each figure, its unit, and its value for every subject just now."""

import dataclasses
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from banyan.contracts.monitor import Now, ProcessNow
from banyan.monitor.domain import envoys
from banyan.monitor.domain.meters import WINDOW, Recent
from banyan.monitor.domain.picture import MONITOR, RELAY, SUPERVISOR, Picture

Unit = Literal["", "ms", "s", "%", "/s", "B"]
Values: TypeAlias = dict[str, dict[str, float]]
"""By figure and subject. What is not known just now, or would say nothing, is not in here."""

# One of three requests that failed is no rate, and the slowest of four says nothing about the rest.
_FAILED_AT_LEAST = 3
_FOR_P50 = 3
_FOR_P99 = 20
_TIMES_OF = timedelta(seconds=5)
_NOT_AT_FIRST = ("process.away", "process.silent", "process.answer", "process.loop_lag", "process.cpu")
# A process that was told to stop, or to start again, has this long for each; whoever told it knows.
_DELIBERATE = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Figure:
    unit: Unit
    about: str
    subject: str


FIGURES = {
    "process.away": Figure("", "1 while a process or database server is not ready", "process"),
    "process.restarts": Figure("", "times it was started again unasked, in ten seconds", "process"),
    "process.ended": Figure("", "sessions of it that were ended for their memory, in ten seconds", "process"),
    "process.silent": Figure("s", "how long it has not answered", "process"),
    "process.answer": Figure("ms", "how much longer than the others it takes to say how it is", "process"),
    "process.loop_lag": Figure("ms", "how late its event loop is", "process"),
    "process.unwritable": Figure("", "1 while it can write no file: a full disk, a limit, a read-only disk", "process"),
    "process.memory": Figure("%", "of what it may use (BANYAN_MEMORY_BYTES)", "process"),
    "process.cpu": Figure("%", "of a core, used or waited for; Envoy has BANYAN_ENVOY_CONCURRENCY", "process"),
    "process.in_flight": Figure("%", "requests it handles, of what it handles at a time (BANYAN_IN_FLIGHT)", "process"),
    "process.shed": Figure("/s", "requests it asked to come again", "process"),
    "process.errors": Figure("%", "of its requests that failed, where three did", "process"),
    "process.p50": Figure("ms", "half of its requests took longer", "process"),
    "process.p99": Figure("ms", "one of a hundred of its requests took longer", "process"),
    "side.errors": Figure("%", "of a side's requests that failed, where three did", "old or new"),
    "side.p50": Figure("ms", "half of a side's requests took longer", "old or new"),
    "side.p99": Figure("ms", "one of a hundred of a side's requests took longer", "old or new"),
    "route.errors": Figure("%", "of a route's requests that failed, where three did", "route:side"),
    "route.p50": Figure("ms", "half of a route's requests took longer", "route:side"),
    "route.p99": Figure("ms", "one of a hundred of a route's requests took longer", "route:side"),
    "call.errors": Figure("%", "of the calls of another service that failed, where three did", "process:service"),
    "sql.errors": Figure("%", "of the statements that failed, where three did", "process:database"),
    "sql.p50": Figure("ms", "half of the statements took longer", "process:database"),
    "sql.p99": Figure("ms", "one of a hundred statements took longer", "process:database"),
    "pool.waiting": Figure("", "those who wait for a connection to a database", "process:database"),
    "pool.used": Figure("%", "of the connections to a database", "process:database"),
    "queue.waiting": Figure("", "events that a consumer has not handled", "consumer"),
    "queue.age": Figure("s", "how long the oldest of them has waited", "consumer"),
    "queue.failures": Figure("/s", "events that a consumer could not handle", "consumer"),
    "queue.dead": Figure("", "events that a consumer gave up, which wait for somebody", "consumer"),
    "queue.parked": Figure("", "events that wait behind those, because they are of the same key", "consumer"),
    "outbox.waiting": Figure("", "events that are not published", "context"),
    "outbox.age": Figure("s", "how long the oldest of them has waited", "context"),
    "disk.free": Figure("B", "what is free where the data folder is", "data"),
    "disk.share": Figure("%", "of that disk that is free", "data"),
}


def measure(now: Now, picture: Picture, *, envoy_cores: int, in_flight_limit: int) -> Values:
    """Shares count every request of the last ten seconds, times those of the last five; see `FIGURES`."""
    values: Values = {name: {} for name in FIGURES}
    for process in now.processes:
        _measure_process(values, process, now, picture, envoy_cores=envoy_cores, in_flight_limit=in_flight_limit)
    values["process.answer"] = _slower_than_the_others(picture)
    if (wanted := picture.wanted_cpu(SUPERVISOR)) is not None:
        values["process.cpu"][SUPERVISOR] = 100.0 * wanted
    if picture.settled:
        _measure_requests(values, picture, at=now.at)
    else:
        # A first start has its own limit of time, and somebody who watches it.
        for figure in _NOT_AT_FIRST:
            values[figure] = {}
    _measure_queues(values, now)
    _measure_letters(values, picture)
    if now.disk is not None and now.disk.total_bytes:
        values["disk.free"]["data"] = float(now.disk.free_bytes)
        values["disk.share"]["data"] = 100.0 * now.disk.free_bytes / now.disk.total_bytes
    return values


def _measure_process(
    values: Values, process: ProcessNow, now: Now, picture: Picture, *, envoy_cores: int, in_flight_limit: int
) -> None:
    name = process.name
    stopping = process.state in ("stopping", "stopped") and now.at - process.since < _DELIBERATE
    wanted_at = picture.restarts.wanted_at(name)
    deliberate = stopping or (wanted_at is not None and now.at - wanted_at < _DELIBERATE)
    values["process.away"][name] = float(process.state != "ready" and not deliberate)
    if (cannot_write := picture.cannot_write(name)) is not None:
        values["process.unwritable"][name] = float(cannot_write)
    values["process.restarts"][name] = float(picture.restarts.recent(name))
    values["process.ended"][name] = float(picture.restarts.recent_ends(name))
    if name in picture.heard and not deliberate:
        values["process.silent"][name] = max(0.0, (now.at - picture.heard[name]).total_seconds())
    if process.loop_lag_ms is not None:
        values["process.loop_lag"][name] = process.loop_lag_ms
    if process.memory_bytes is not None and process.memory_limit_bytes:
        values["process.memory"][name] = 100.0 * process.memory_bytes / process.memory_limit_bytes
    if (wanted := picture.wanted_cpu(name)) is not None:
        values["process.cpu"][name] = 100.0 * wanted / (envoy_cores if process.kind == "envoy" else 1)
    if process.in_flight is not None and in_flight_limit:
        values["process.in_flight"][name] = 100.0 * process.in_flight / in_flight_limit
    for database, pool in process.pools.items():
        values["pool.waiting"][f"{name}:{database}"] = float(pool.waiting)
        if pool.size:
            values["pool.used"][f"{name}:{database}"] = 100.0 * pool.used / pool.size


def _slower_than_the_others(picture: Picture) -> dict[str, float]:
    """On a slow machine all are slow, and none of them is to blame."""
    found = {name: picture.answer_ms(name) for name in picture.heard}
    answers = {name: answer for name, answer in found.items() if answer is not None}
    # A database server's greeting is no measure for those who have figures to tell.
    comparable = [answer for name, answer in answers.items() if name in picture.figures] or list(answers.values())
    usual = statistics.median(comparable) if comparable else 0.0
    return {name: max(0.0, answer - usual) for name, answer in answers.items()}


def _measure_requests(values: Values, picture: Picture, *, at: datetime) -> None:
    for (process, _), recent in picture.recent("shed", at=at).items():
        values["process.shed"][process] = recent.per_second
    for what, subject, recent in _asked(picture, at=at, window=WINDOW):
        if recent.total:
            share = 100.0 * recent.failed / recent.total
            values[f"{what}.errors"][subject] = share if recent.failed >= _FAILED_AT_LEAST else 0.0
    for what, subject, recent in _asked(picture, at=at, window=_TIMES_OF):
        timed = sum(recent.buckets.values())
        for figure, fraction, needed in (("p50", 0.5, _FOR_P50), ("p99", 0.99, _FOR_P99)):
            value = recent.percentile(fraction)
            if value is not None and timed >= needed and f"{what}.{figure}" in values:
                values[f"{what}.{figure}"][subject] = value


def _asked(picture: Picture, *, at: datetime, window: timedelta) -> Iterator[tuple[str, str, Recent]]:
    """Who was asked, as rules name them."""
    for (process, _), recent in picture.recent("asked", at=at, window=window).items():
        yield "process", process, recent
    for kind in ("call", "sql"):
        for (process, name), recent in picture.recent(kind, at=at, window=window).items():
            if process != MONITOR:
                yield kind, f"{process}:{name}", recent
    sides: dict[str, Recent] = {}
    for (_, cluster), recent in picture.recent("cluster", at=at, window=window).items():
        side: str = envoys.side_of(cluster)
        timed = dataclasses.replace(recent, buckets={}) if envoys.lasts(cluster) else recent
        yield "route", envoys.route_of(cluster), timed
        sides[side] = sides[side].plus(timed) if side in sides else timed
    for side, recent in sides.items():
        yield "side", side, recent


def _measure_queues(values: Values, now: Now) -> None:
    for lag in now.lags:
        kind, subject = ("outbox", lag.source) if lag.consumer == RELAY else ("queue", lag.consumer)
        values[f"{kind}.waiting"][subject] = float(lag.waiting)
        values[f"{kind}.age"][subject] = lag.oldest_seconds
        if kind == "queue":
            values["queue.failures"][subject] = lag.failed_per_second


def _measure_letters(values: Values, picture: Picture) -> None:
    for figures in picture.figures.values():
        for consumer, letters in figures.letters.items():
            values["queue.dead"][consumer] = float(letters.dead)
            values["queue.parked"][consumer] = float(letters.parked)


def listed() -> str:
    """The figures, as the rule file explains them."""
    return "\n".join(
        f"#   {name:<18} {figure.unit:<3} {figure.about} ({figure.subject})" for name, figure in FIGURES.items()
    )
