"""A monitor that answers on its socket what a test has given it; it counts how often it is asked."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
from aiohttp import web

from banyan.contracts.monitor import (
    Alert,
    AlertPage,
    Arrow,
    Disk,
    Lag,
    LogLine,
    LogPage,
    Now,
    Point,
    Pool,
    ProcessNow,
    Span,
    Trace,
    TraceHead,
    TraceList,
)
from banyan.infra import http
from banyan.infra.settings import Settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SINCE = datetime(2026, 11, 24, 3, 12, 9, tzinfo=UTC)


@dataclass
class Monitor:
    """What it says; `mood` is `well` or `503`."""

    now: Now
    alerts: AlertPage = field(default_factory=lambda: AlertPage([]))
    logs: LogPage = field(default_factory=lambda: LogPage([]))
    traces: TraceList = field(default_factory=lambda: TraceList([]))
    trace: Trace | None = None
    mood: str = "well"
    asked: Counter[str] = field(default_factory=Counter)
    queries: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        kind = request.path.strip("/").partition("/")[0]
        self.asked[kind] += 1
        self.queries.append(dict(request.query))
        if self.mood != "well":
            return web.Response(status=503)
        said: object = getattr(self, kind, None)
        if request.path.startswith("/traces/"):
            said = self.trace if self.trace and request.path.endswith(self.trace.trace_id) else None
        if said is None:
            return web.Response(status=404, text='{"type": "trace-unknown", "title": "", "detail": "Not kept."}')
        return web.Response(body=msgspec.json.encode(said), content_type="application/json")


@contextlib.asynccontextmanager
async def answering(settings: Settings, monitor: Monitor) -> AsyncIterator[Monitor]:
    app = web.Application()
    app.router.add_get("/{path:.*}", monitor.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, http.listening_socket(settings.socket("monitor"))).start()
    try:
        yield monitor
    finally:
        await runner.cleanup()


def quiet(*names: str) -> Monitor:
    """A system in which all is well."""
    return Monitor(Now(at=datetime.now(UTC), supervised=True, ready=True, processes=[process(name) for name in names]))


def process(name: str, **changed: object) -> ProcessNow:
    kind = "postgres" if name.startswith("postgres") else "envoy" if name == "envoy" else "process"
    given: dict[str, object] = {
        "memory_bytes": 84_000_000 + 9_000_000 * len(name),
        "memory_limit_bytes": None if kind == "postgres" else 512_000_000,
        "cpu": 0.01 * len(name),
    }
    if kind == "process":
        given |= {"loop_lag_ms": 0.8, "in_flight": 1, "version": "0.1.0", "pools": {name: Pool(1, 10, 0)}}
    return ProcessNow(name=name, kind=kind, state="ready", since=SINCE, **given | changed)  # type: ignore[arg-type]  # the names are data


EVERYBODY = (
    *("postgres-front", "postgres-core", "postgres-aside", "old-site", "monitor", "gateway", "iam", "learning"),
    *("live", "relay", "web", "envoy"),
)


def busy() -> Monitor:
    """The demo's processes with visitors at them, and events on their way."""
    found = quiet(*EVERYBODY)
    at = found.now.at
    arrows = [
        Arrow("browsers", "envoy", "request", "", 132.4, 0.0, 8.0, 64.0),
        Arrow("envoy", "old-site", "request", "", 41.0, 0.0, 18.0, 92.0),
        Arrow("envoy", "web", "request", "", 66.2, 0.0, 9.0, 48.0),
        Arrow("envoy", "learning", "request", "", 22.1, 0.0, 3.0, 14.0),
        Arrow("envoy", "iam", "request", "", 1.3, 0.0, 4.0, 120.0),
        Arrow("envoy", "live", "request", "", 1.8, 0.0, None, None),
        Arrow("web", "learning", "call", "", 61.0, 0.0, 2.0, 11.0),
        Arrow("web", "iam", "call", "", 2.4, 0.0, 3.0, 22.0),
        Arrow("learning", "iam", "call", "", 0.1, 0.0, 3.0, 9.0),
        Arrow("gateway", "postgres-front", "sql", "gateway", 2.0, 0.0, 0.6, 2.0),
        Arrow("iam", "postgres-front", "sql", "iam", 14.0, 0.0, 0.7, 3.0),
        Arrow("learning", "postgres-core", "sql", "learning", 96.0, 0.0, 0.9, 6.0),
        Arrow("live", "postgres-aside", "sql", "live", 3.0, 0.0, 0.5, 2.0),
        Arrow("relay", "postgres-front", "sql", "iam", 1.0, 0.0, 0.8, 3.0),
        Arrow("relay", "postgres-core", "sql", "learning", 2.0, 0.0, 0.8, 3.0),
        Arrow("relay", "postgres-aside", "sql", "bus", 6.0, 0.0, 0.8, 4.0),
        Arrow("learning", "postgres-aside", "sql", "bus", 1.0, 0.0, 0.8, 4.0),
        Arrow("live", "postgres-aside", "sql", "bus", 1.0, 0.0, 0.8, 4.0),
        Arrow("iam", "relay", "queue", "outbox", 0.2, 0.0, None, None),
        Arrow("learning", "relay", "queue", "outbox", 6.4, 0.0, None, None),
        Arrow("relay", "learning", "queue", "learning-from-iam", 0.2, 0.0, 6.0, 40.0),
        Arrow("relay", "live", "queue", "live-from-learning", 6.4, 0.0, 4.0, 30.0),
    ]
    lags = [
        Lag("relay", "iam", 0, 0.0, 0.2),
        Lag("relay", "learning", 2, 0.1, 6.4),
        Lag("learning-from-iam", "iam", 0, 0.0, 0.2),
        Lag("live-from-learning", "learning", 3, 0.2, 6.4),
    ]
    events = [
        Point(at - timedelta(seconds=second), 6.0 + (second % 40) / 10, 5.8 + (second % 37) / 10, second % 5)
        for second in range(299, -1, -1)
    ]
    found.now = Now(
        at=at,
        supervised=True,
        ready=True,
        processes=found.now.processes,
        arrows=arrows,
        lags=lags,
        disk=Disk("/data", 100_000_000_000, 40_000_000_000),
        alerts=[],
        events=events,
    )
    found.alerts = AlertPage([], rules=["process.silent > 5s for 0s -> operators", "operators = mail ops@school.test"])
    found.trace = trace(at)
    found.traces = TraceList([head(at, 100 + number) for number in range(6, 0, -1)])
    found.logs = LogPage([line(at, number) for number in range(30)], next="older")
    return found


def hung(found: Monitor, name: str = "learning") -> Monitor:
    """One process does not answer, and an alert says so."""
    since = datetime.now(UTC) - timedelta(seconds=12)
    rule = "process.silent > 5s for 0s"
    told = Alert(rule, name, "firing", 7.3, since, since, None, ["mail operator@banyan.test"], [])
    waiting = Alert("sql.p50 > 500ms for 3s", f"{name}:{name}", "waiting", 812.0, since)
    over = Alert(
        "queue.age > 10s for 0s", "live-from-learning", "over", 12.0, SINCE, SINCE, SINCE, ["webhook chat.test"]
    )
    now = found.now
    arrows = [
        Arrow(a.source, a.target, a.kind, a.label, a.per_second, a.per_second * 0.6, a.p50_ms, 4100.0)
        if a.target == name and a.kind in ("call", "request")
        else a
        for a in now.arrows
    ]
    found.now = Now(
        at=now.at,
        supervised=True,
        ready=False,
        processes=now.processes,
        arrows=arrows,
        lags=now.lags,
        disk=now.disk,
        alerts=[told, waiting, over],
        events=now.events,
    )
    faults = ["line 7: there is no figure 'process.mood'"]
    found.alerts = AlertPage([told, waiting, over], rules=found.alerts.rules, faults=faults)
    return found


def head(at: datetime, took: float) -> TraceHead:
    return TraceHead(TRACE, "GET /courses/{slug}", at, took, 9, int(took > 105), ["envoy", "web", "learning"], "r-1")


def line(at: datetime, number: int) -> LogLine:
    level = ("info", "info", "warning", "info", "error")[number % 5]
    fields = {"method": "GET", "path": f"/courses/{number}", "status": "200", "ms": "612.4", "trace_id": TRACE}
    if level == "error":
        fields["exception"] = 'Traceback (most recent call last):\n  File "x.py", line 1\nDatabaseAway: no answer'
    when = (at - timedelta(seconds=3 * number)).isoformat()
    return LogLine(when, "web", level, "request failed" if level == "error" else "request", "7d1f8a52-aa", fields)


def trace(at: datetime) -> Trace:
    def span(
        number: int,
        parent: int | None,
        process: str,
        name: str,
        kind: str,
        start: float,
        took: float,
        error: bool = False,
        **attributes: str,
    ) -> Span:
        return Span(str(number), str(parent) if parent else None, process, name, kind, start, took, error, attributes)

    sql = {
        "db.query.text": "SELECT id, slug, title FROM course_version WHERE course_id = $1 ORDER BY published_at DESC"
    }
    spans = [
        span(1, None, "envoy", "POST /courses/{slug}/enrolment", "server", 0, 148, request_id="7d1f8a52-aa"),
        span(2, 1, "web", "POST /courses/{slug}/enrolment", "server", 2, 144),
        span(3, 2, "web", "POST learning/api/v1/enrolments", "client", 9, 128),
        span(4, 3, "learning", "POST /api/v1/enrolments", "server", 12, 122),
        span(5, 4, "learning", "SELECT course_version", "client", 16, 31, **sql),
        span(
            6,
            4,
            "learning",
            "INSERT enrolment",
            "client",
            52,
            61,
            True,
            **{"db.query.text": "INSERT INTO enrolment VALUES ($1, $2)"},
        ),
        span(7, 4, "learning", "outbox StudentEnrolled", "producer", 115, 4),
        span(8, 7, "relay", "publish StudentEnrolled", "producer", 230, 12),
        span(9, 8, "live", "handle StudentEnrolled", "consumer", 262, 18),
        span(
            10,
            9,
            "live",
            "UPDATE learner_count",
            "client",
            266,
            9,
            **{"db.query.text": "UPDATE learner_count SET learners = learners + 1"},
        ),
    ]
    return Trace(TRACE, at, 280.0, spans)
