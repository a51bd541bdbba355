"""What the events' samples say."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import median, percentile
from bench.report import Bar, Goal, Panel, Section, Table, figure, with_range

BANYAN, PEER = "Banyan", "Celery"
P99_GOAL = 25.0
SHOWN_GOAL = 1000.0
DRAIN_GOAL = 10_000.0


@dataclass(frozen=True, slots=True)
class Pushed:
    """One round at one rate: milliseconds from commit to handler, for every event and subscriber."""

    rate: int
    events: int
    took: Sequence[float]
    lost: int
    cpu_ms: dict[str, float]
    behind: float


@dataclass(frozen=True, slots=True)
class Drain:
    """`seconds` and `cpu` of the relay; `handling` is how long three subscribers took for what it had published."""

    events: int
    seconds: float
    cpu: float
    handling: float


@dataclass(frozen=True, slots=True)
class Ours:
    """`shown` are milliseconds from the commit of an enrolment to an open page."""

    pushed: Sequence[Pushed]
    drains: Sequence[Drain]
    shown: Sequence[float]
    missing: int


@dataclass(frozen=True, slots=True)
class Theirs:
    """The peer's, where there is one; `drained` are events a second that all three consumers have handled."""

    pushed: Sequence[Pushed]
    drained: Sequence[float]
    about: str


def report_of(ours: Ours, theirs: Theirs, *, pages: int, rate: int) -> Section:
    section = Section(
        name="events",
        title="Events",
        about=(
            "From the moment an operation's commit in the database of `learning` is known to its caller, through the"
            " outbox, the `relay` process and PGMQ on another PostgreSQL server, to the call of the handler: three"
            " subscribers in one process of the bench's, each with a queue of its own and its inbox in another"
            " database (`iam`, `learning`, `live`, on three servers). The operation is a transaction that tells of one"
            " event, due at an even pace; keys are all different. *To an open page* is one step more:"
            f" {rate} enrolments a second by Banyan's own operation, `live` hears of each, and {pages} pages with the"
            " same course open receive the new count over server-sent events at the front door."
            + (f" {theirs.about}" if theirs.pushed else "")
        ),
    )
    section.tables = [_pushed(ours, theirs), _shown(ours.shown, ours.missing), _drained(ours, theirs)]
    section.goals = [_goal(each, _at(ours.pushed, each)) for each in _rates(ours.pushed)]
    section.goals.append(
        Goal(
            f"commit to {pages} open pages at {rate} enrolments a second",
            f"none missed, p99 <= {SHOWN_GOAL:,.0f} ms",
            f"{ours.missing} missed, {figure(percentile(ours.shown, 99))} ms",
            ours.missing == 0 and percentile(ours.shown, 99) <= SHOWN_GOAL,
        )
    )
    drained = median([each.events / each.seconds for each in ours.drains])
    section.goals.append(
        Goal(
            "an outbox drained by the relay into three queues",
            f">= {DRAIN_GOAL:,.0f} events/s",
            f"{figure(drained)} events/s",
            drained >= DRAIN_GOAL,
        )
    )
    section.panels = _panels(ours, theirs)
    return section


def _panels(ours: Ours, theirs: Theirs) -> list[Panel]:
    named = ((BANYAN, ours.pushed, True), (PEER, theirs.pushed, False))
    rows = [(f"{name}, {rate}/s", _at(each, rate), own) for name, each, own in named for rate in _rates(each)]
    late = [Bar(name, median([percentile(one.took, 99) for one in each]), own) for name, each, own in rows]
    cpu = [Bar(name, median([sum(one.cpu_ms.values()) for one in each]), own) for name, each, own in rows]
    return [
        Panel("From commit to three consumers, p99", "ms", late),
        Panel("CPU of an event to three consumers, all processes", "ms", cpu),
    ]


def _at(pushed: Sequence[Pushed], rate: int) -> list[Pushed]:
    return [each for each in pushed if each.rate == rate]


def _rates(pushed: Sequence[Pushed]) -> list[int]:
    return list(dict.fromkeys(each.rate for each in pushed))


def _pushed(ours: Ours, theirs: Theirs) -> Table:
    rows = []
    for name, pushed in ((BANYAN, ours.pushed), (PEER, theirs.pushed)):
        for rate in _rates(pushed):
            rounds = _at(pushed, rate)
            cpu = {part: median([each.cpu_ms[part] for each in rounds]) for part in rounds[0].cpu_ms}
            rows.append(
                (
                    f"{name}, {rate} a second",
                    f"{sum(each.events for each in rounds):,}",
                    with_range([percentile(each.took, 50) for each in rounds]),
                    with_range([percentile(each.took, 99) for each in rounds]),
                    figure(max(max(each.took) for each in rounds)),
                    str(sum(each.lost for each in rounds)),
                    figure(1000 * max(each.behind for each in rounds)),
                    figure(median([sum(each.cpu_ms.values()) for each in rounds])),
                    ", ".join(f"{part} {figure(ms)}" for part, ms in cpu.items()),
                )
            )
    columns = (
        "events",
        "told",
        "p50 ms",
        "p99 ms",
        "longest",
        "lost",
        "writer behind by, ms",
        "CPU ms an event",
        "of it",
    )
    return Table(
        "Commit to three subscribers",
        columns,
        rows,
        "*Behind* is how late the slowest commit was. The writer is the bench's; what it costs is the machine's, too.",
    )


def _shown(shown: Sequence[float], missing: int) -> Table:
    row = (f"{len(shown):,}", figure(percentile(shown, 50)), figure(percentile(shown, 99)), figure(max(shown)))
    columns = ("counts received", "p50 ms", "p99 ms", "longest", "missed")
    return Table("Commit to open pages", columns, [(*row, str(missing))])


def _drained(ours: Ours, theirs: Theirs) -> Table:
    drains = ours.drains
    rows = [
        (
            f"{BANYAN}: the relay, {drains[0].events:,} events at once into three queues",
            with_range([each.events / each.seconds for each in drains]),
            with_range([1e6 * each.cpu / each.events for each in drains]),
        ),
        (
            f"{BANYAN}: three subscribers, these queues",
            with_range([each.events / each.handling for each in drains]),
            "",
        ),
    ]
    if theirs.drained:
        rows.append((f"{PEER}: three workers, as fast as they are told", with_range(theirs.drained), ""))
    columns = ("a backlog", "events/s", "its CPU ms / 1,000 events")
    return Table("How fast a backlog goes", columns, rows)


def _goal(rate: int, rounds: Sequence[Pushed]) -> Goal:
    p99 = median([percentile(each.took, 99) for each in rounds])
    lost = sum(each.lost for each in rounds)
    return Goal(
        f"commit to three subscribers at {rate} events a second",
        f"none lost, p99 <= {P99_GOAL:.0f} ms",
        f"{lost} lost, {figure(p99)} ms",
        lost == 0 and p99 <= P99_GOAL,
    )
