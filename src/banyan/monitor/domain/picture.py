"""The running system as it is just now: boxes, arrows, lags and five minutes of events."""

import dataclasses
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta

from banyan.contracts.monitor import Arrow, ArrowKind, Depth, Figures, Lag, Now, Point, ProcessNow, Tally
from banyan.monitor.domain import envoys
from banyan.monitor.domain.meters import WINDOW, Count, Meter, Recent, count_of
from banyan.monitor.domain.restarts import Restarts
from banyan.monitor.domain.sights import Cluster, Everybody, Machine, Seen, Usage

KEPT = timedelta(minutes=5)
BROWSERS, ENVOY, MONITOR, RELAY, SUPERVISOR = "browsers", "envoy", "monitor", "relay", "supervisor"
_ANSWERS = 5
_BUSY = 0.3
# A second's share of a processor says little where many want it.
_WEIGHED_FOR = timedelta(seconds=3)

# What is counted: who counts, what it is, and the name of the thing; as `sql`, `live`, `bus`.
Key = tuple[str, str, str]


class Picture:
    """Told whatever is seen, in any order; `now` puts it together."""

    def __init__(self, *, servers: Mapping[str, str], memory_limit: Callable[[str], int], restarts: Restarts) -> None:
        self.figures: dict[str, Figures] = {}
        self.heard: dict[str, datetime] = {}
        self.restarts = restarts
        self.settled = False
        self._starting_until: datetime | None = None
        self._servers = servers
        self._memory_limit = memory_limit
        self._meters: dict[Key, Meter] = defaultdict(Meter)
        self._targets: dict[str, str] = {}
        self._usage: dict[str, deque[tuple[datetime, Usage]]] = defaultdict(deque)
        self._cpu: dict[str, float] = {}
        self._wanted: dict[str, float] = {}
        self._answers: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_ANSWERS))
        self._points: deque[Point] = deque()

    def hear(self, process: str, figures: Figures | None, *, at: datetime, took: float = 0.0) -> None:
        """It answered, after so many seconds; None where it has no figures to tell, as the old site."""
        self._answered(process, took, at=at)
        if figures is None:
            self.figures.pop(process, None)
            return
        self.figures[process] = figures
        told: list[tuple[str, Mapping[str, Tally]]] = [
            ("asked", {"": figures.requests} if figures.requests else {}),
            ("call", figures.calls),
            ("sql", figures.sql),
            ("handled", figures.handled),
        ]
        for kind, tallies in told:
            for name, tally in tallies.items():
                self._note((kind, process, name), count_of(tally), at=at, epoch=figures.started_at)
        self._note(("shed", process, ""), Count(figures.shed), at=at, epoch=figures.started_at)
        for context, total in figures.published.items():
            self._note(("published", process, context), Count(total), at=at, epoch=figures.started_at)

    def hear_envoy(self, clusters: Mapping[str, Cluster], *, at: datetime, took: float = 0.0) -> None:
        self._answered(ENVOY, took, at=at)
        for name, cluster in clusters.items():
            if not envoys.is_watching(name):
                self._targets[name] = cluster.target
                self._note(("cluster", ENVOY, name), cluster.count, at=at)

    def look(self, everybody: Everybody, machine: Machine, *, at: datetime) -> Now:
        self.restarts.note(everybody, self.figures, at=at)
        self._note_start(everybody, at=at)
        self._note_usage(machine.usage, at=at)
        self._forget({process.name for process in everybody.processes})
        lags = self._lags(at=at)
        self._note_point(lags, at=at)
        return Now(
            at=at,
            supervised=everybody.supervised,
            ready=everybody.ready and all(process.state == "ready" for process in everybody.processes),
            processes=[self._process(process, at=at) for process in everybody.processes],
            arrows=list(self._arrows({process.name for process in everybody.processes}, at=at)),
            lags=lags,
            disk=machine.disk,
            events=list(self._points),
        )

    def recent(self, kind: str, *, at: datetime, window: timedelta = WINDOW) -> dict[tuple[str, str], Recent]:
        """By who counts and the name of the thing."""
        found = ((key, meter.recent(at=at, window=window)) for key, meter in self._meters.items() if key[0] == kind)
        return {(owner, name): recent for (_, owner, name), recent in found if recent is not None}

    def answer_ms(self, process: str) -> float | None:
        """How long its last few answers to us took, on average."""
        answers = self._answers.get(process, ())
        return 1000 * sum(answers) / len(answers) if len(answers) == _ANSWERS else None

    def wanted_cpu(self, name: str) -> float | None:
        """How many cores it would keep busy if it were alone. Who wakes often and does little waits, too, where others
        are busy; that is not its doing."""
        used = self._cpu.get(name)
        if used is None:
            return None
        return max(used, self._wanted[name]) if used >= _BUSY else used

    def cannot_write(self, name: str) -> bool | None:
        """By its own word or by its limits; None where neither is known."""
        figures, usage = self.figures.get(name), self._usage.get(name)
        if figures is None and usage is None:
            return None
        return bool(figures and figures.cannot_write) or bool(usage and not usage[-1][1].may_write)

    def _answered(self, process: str, took: float, *, at: datetime) -> None:
        self.heard[process] = at
        self._answers[process].append(took)

    def _note(self, key: Key, count: Count, *, at: datetime, epoch: datetime | None = None) -> None:
        self._meters[key].note(count, at=at, epoch=epoch)

    def _note_start(self, everybody: Everybody, *, at: datetime) -> None:
        """A start that we see ourselves is over when nothing of it is in the last ten seconds any more."""
        if not everybody.ready:
            self._starting_until = at + WINDOW
        self.settled = self.settled or self._starting_until is None or at >= self._starting_until

    def _note_usage(self, usage: Mapping[str, Usage], *, at: datetime) -> None:
        for name, now in usage.items():
            samples = self._usage[name]
            if samples and (at <= samples[-1][0] or now.cpu_seconds < samples[-1][1].cpu_seconds):
                self._forget_usage(name)  # the clock was put back, or it is another process
                samples = self._usage[name]
            samples.append((at, now))
            while len(samples) > 2 and samples[1][0] <= at - _WEIGHED_FOR:
                samples.popleft()
            if len(samples) > 1:
                began, before = samples[0]
                seconds = (at - began).total_seconds()
                self._cpu[name] = (now.cpu_seconds - before.cpu_seconds) / seconds
                self._wanted[name] = max(0.0, now.wanted_seconds - before.wanted_seconds) / seconds
        for name in self._usage.keys() - usage.keys():
            self._forget_usage(name)

    def _forget_usage(self, name: str) -> None:
        del self._usage[name]
        self._cpu.pop(name, None)
        self._wanted.pop(name, None)

    def _forget(self, names: set[str]) -> None:
        """Those that are no longer expected."""
        for gone in self.heard.keys() - names:
            del self.heard[gone]
            self.figures.pop(gone, None)
            self._answers.pop(gone, None)
        for key in [key for key in self._meters if key[1] not in names]:
            del self._meters[key]

    def _process(self, seen: Seen, *, at: datetime) -> ProcessNow:
        figures = self._fresh(at=at).get(seen.name)
        usage = self._usage.get(seen.name)
        return ProcessNow(
            name=seen.name,
            kind=seen.kind,
            state=seen.state,
            since=seen.since,
            version=figures.version if figures else "",
            restarts=seen.restarts,
            detail=seen.detail,
            memory_bytes=usage[-1][1].memory_bytes if usage else None,
            memory_limit_bytes=(self._memory_limit(seen.name) or None) if seen.kind != "postgres" else None,
            cpu=round(self._cpu[seen.name], 3) if seen.name in self._cpu else None,
            loop_lag_ms=figures.loop_lag_ms if figures else None,
            in_flight=figures.in_flight if figures else None,
            pools=figures.pools if figures else {},
        )

    def _fresh(self, *, at: datetime) -> dict[str, Figures]:
        """What was told in the last ten seconds; older figures say nothing of now."""
        return {name: figures for name, figures in self.figures.items() if self.heard[name] > at - WINDOW}

    def _arrows(self, names: set[str], *, at: datetime) -> Iterable[Arrow]:
        yield from self._through_envoy(at=at)
        for (process, service), recent in self.recent("call", at=at).items():
            # Whoever looks at the figures must not be in them.
            if process != MONITOR and service not in (MONITOR, ENVOY):
                yield _arrow(process, service, "call", recent)
        for (process, database), recent in self.recent("sql", at=at).items():
            server = self._servers.get(database, database)
            yield _arrow(process, server if server in names else database, "sql", recent, label=database)
        for (process, context), recent in self.recent("published", at=at).items():
            yield _arrow(context, process, "queue", recent, label="outbox")
        for (process, consumer), recent in self.recent("handled", at=at).items():
            yield _arrow(RELAY, process, "queue", recent, label=consumer)

    def _through_envoy(self, *, at: datetime) -> Iterable[Arrow]:
        by_target: dict[str, Recent] = {}
        for (_, cluster), recent in self.recent("cluster", at=at).items():
            timed = dataclasses.replace(recent, buckets={}) if envoys.lasts(cluster) else recent
            target = self._targets[cluster]
            by_target[target] = by_target[target].plus(timed) if target in by_target else timed
        if by_target:
            first, *others = by_target.values()
            for other in others:
                first = first.plus(other)
            yield _arrow(BROWSERS, ENVOY, "request", first)
        for target, recent in by_target.items():
            yield _arrow(ENVOY, target, "request", recent)

    def _lags(self, *, at: datetime) -> list[Lag]:
        published, handled = self.recent("published", at=at), self.recent("handled", at=at)
        lags: dict[tuple[str, str], Lag] = {}
        for process, figures in self._fresh(at=at).items():
            for source in sorted(figures.outboxes.keys() | figures.published.keys()):
                found = _lag(RELAY, source, figures.outboxes.get(source), published.get((process, source)))
                lags[RELAY, source] = _joined(found, lags.get((RELAY, source)))
            for consumer in sorted(figures.queues.keys() | figures.handled.keys()):
                source = consumer.partition("-from-")[2]
                found = _lag(consumer, source, figures.queues.get(consumer), handled.get((process, consumer)))
                lags[consumer, source] = _joined(found, lags.get((consumer, source)))
        return sorted(lags.values(), key=lambda lag: (lag.consumer != RELAY, lag.consumer, lag.source))

    def _note_point(self, lags: list[Lag], *, at: datetime) -> None:
        published = sum(lag.handled_per_second for lag in lags if lag.consumer == RELAY)
        handled = sum(lag.handled_per_second for lag in lags if lag.consumer != RELAY)
        self._points.append(Point(at, published, handled, sum(lag.waiting for lag in lags)))
        while self._points[0].at < at - KEPT:
            self._points.popleft()


def _arrow(source: str, target: str, kind: ArrowKind, recent: Recent, *, label: str = "") -> Arrow:
    return Arrow(
        source=source,
        target=target,
        kind=kind,
        label=label,
        per_second=round(recent.per_second, 3),
        errors_per_second=round(recent.failed_per_second, 3),
        p50_ms=_rounded(recent.percentile(0.5)),
        p99_ms=_rounded(recent.percentile(0.99)),
    )


def _lag(consumer: str, source: str, depth: Depth | None, recent: Recent | None) -> Lag:
    return Lag(
        consumer=consumer,
        source=source,
        waiting=depth.waiting if depth else 0,
        oldest_seconds=depth.oldest_seconds if depth else 0.0,
        handled_per_second=round(recent.per_second, 3) if recent else 0.0,
        failed_per_second=round(recent.failed_per_second, 3) if recent else 0.0,
    )


def _joined(one: Lag, other: Lag | None) -> Lag:
    """Who counts what waits need not be who handles it; of several who handle, each does a part."""
    if other is None:
        return one
    return dataclasses.replace(
        one,
        waiting=max(one.waiting, other.waiting),
        oldest_seconds=max(one.oldest_seconds, other.oldest_seconds),
        handled_per_second=one.handled_per_second + other.handled_per_second,
        failed_per_second=one.failed_per_second + other.failed_per_second,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
