"""What `monitor` knows of the running system, and what every process tells it. Times are UTC; durations say their
unit in their name."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

ArrowKind = Literal["request", "call", "sql", "queue"]
AlertState = Literal["waiting", "firing", "over"]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Since the process started: `counts[i]` are those up to `bounds_ms[i]` and over the bound before; the last count
    is of those over every bound."""

    bounds_ms: list[float]
    counts: list[int]
    sum_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Tally:
    """What a process asked of somebody else, or was asked, since it started."""

    total: int
    failed: int
    took: Histogram


@dataclass(frozen=True, slots=True)
class Pool:
    """Connections to a database: those in use, those allowed, and those who wait for one."""

    used: int
    size: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How much waits, and how long the oldest of it has waited."""

    waiting: int
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Letters:
    """What a consumer did not handle: events at fault themselves, and those parked behind them."""

    dead: int
    parked: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """`GET /figures` of every process, on its own socket. The keys of `calls` are services, those of `sql` and `pools`
    databases, those of `published` and `outboxes` the contexts that tell, those of `handled`, `queues` and `letters`
    consumers.
    `cannot_write` is why it can write no file just now, `relieves` whether the process before it ended as it was asked
    to."""

    process: str
    version: str
    started_at: datetime
    loop_lag_ms: float = 0.0
    in_flight: int = 0
    shed: int = 0
    requests: Tally | None = None
    calls: dict[str, Tally] = field(default_factory=dict)
    sql: dict[str, Tally] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    handled: dict[str, Tally] = field(default_factory=dict)
    outboxes: dict[str, Depth] = field(default_factory=dict)
    queues: dict[str, Depth] = field(default_factory=dict)
    letters: dict[str, Letters] = field(default_factory=dict)
    cannot_write: str = ""
    relieves: bool = False


@dataclass(frozen=True, slots=True)
class ProcessNow:
    """A process or a database server. `state` is the supervisor's, or `ready` and `away` where there is none;
    `cpu` is cores; None is what cannot be known just now."""

    name: str
    kind: Literal["postgres", "envoy", "process"]
    state: str
    since: datetime
    version: str = ""
    restarts: int = 0
    detail: str = ""
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    cpu: float | None = None
    loop_lag_ms: float | None = None
    in_flight: int | None = None
    pools: dict[str, Pool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrow:
    """Who asks whom, over the last ten seconds. An end is the name of a process, `browsers`, a database server
    (`postgres-core`), or the old site (`old-site`). `label` is a database, a queue or empty."""

    source: str
    target: str
    kind: ArrowKind
    label: str = ""
    per_second: float = 0.0
    errors_per_second: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """A consumer's queue, or (`consumer` is `relay`) the outbox of `source`."""

    consumer: str
    source: str
    waiting: int
    oldest_seconds: float
    handled_per_second: float
    failed_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class Disk:
    path: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that something broke. `subject` is the process, consumer or route it is about; `told` is who has been
    told, and `untold` what went wrong with telling somebody."""

    rule: str
    subject: str
    state: AlertState
    value: float
    since: datetime
    fired_at: datetime | None = None
    over_at: datetime | None = None
    told: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Point:
    at: datetime
    published: float
    handled: float
    waiting: int


@dataclass(frozen=True, slots=True)
class Now:
    """`GET /now`: everything, as it was at the last look (a second ago at most)."""

    at: datetime
    supervised: bool
    ready: bool
    processes: list[ProcessNow] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    lags: list[Lag] = field(default_factory=list)
    disk: Disk | None = None
    alerts: list[Alert] = field(default_factory=list)
    events: list[Point] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TraceHead:
    """`GET /traces?limit=&min_ms=&process=&errors=&request_id=`: a line of the list, the slowest first."""

    trace_id: str
    name: str
    at: datetime
    took_ms: float
    spans: int
    errors: int
    processes: list[str]
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class TraceList:
    items: list[TraceHead]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """`start_ms` is counted from the start of the trace; `kind` is server, client, internal, producer or consumer."""

    span_id: str
    parent_id: str | None
    process: str
    name: str
    kind: str
    start_ms: float
    took_ms: float
    error: bool = False
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trace:
    """`GET /traces/{trace_id}`; spans by start."""

    trace_id: str
    at: datetime
    took_ms: float
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class LogLine:
    """`fields` is what the line says beside the named ones, as text."""

    at: str
    process: str
    level: str
    event: str
    request_id: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LogPage:
    """`GET /logs?q=&process=&level=&request_id=&after=&limit=`: the newest first."""

    items: list[LogLine]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class AlertPage:
    """`GET /alerts`: those that wait, fire or are over since a short while; and the rules, each as it stands in the
    file, with what is wrong with those that cannot be used."""

    items: list[Alert]
    rules: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Whom a trial reached, or why not."""

    recipient: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """`POST /alerts/test`: everybody whom the rules name was told that this is a trial."""

    items: list[Told]
