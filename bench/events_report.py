"""What the events' samples say."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import median, percentile
from bench.report import Goal, Section, Table, figure, with_range

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
    events: int
    seconds: float
    cpu: float


def report_of(
    pushed: Sequence[Pushed], shown: Sequence[float], missing: int, drains: Sequence[Drain], *, pages: int, rate: int
) -> Section:
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
        ),
    )
    section.tables = [_pushed(pushed), _shown(shown, missing), _drained(drains)]
    section.goals = [_goal(rate, [each for each in pushed if each.rate == rate]) for rate in _rates(pushed)]
    section.goals.append(
        Goal(
            f"commit to {pages} open pages at {rate} enrolments a second",
            f"none missed, p99 <= {SHOWN_GOAL:,.0f} ms",
            f"{missing} missed, {figure(percentile(shown, 99))} ms",
            missing == 0 and percentile(shown, 99) <= SHOWN_GOAL,
        )
    )
    drained = median([each.events / each.seconds for each in drains])
    section.goals.append(
        Goal(
            "an outbox drained by the relay into three queues",
            f">= {DRAIN_GOAL:,.0f} events/s",
            f"{figure(drained)} events/s",
            drained >= DRAIN_GOAL,
        )
    )
    return section


def _rates(pushed: Sequence[Pushed]) -> list[int]:
    return list(dict.fromkeys(each.rate for each in pushed))


def _pushed(pushed: Sequence[Pushed]) -> Table:
    rows = []
    for rate in _rates(pushed):
        rounds = [each for each in pushed if each.rate == rate]
        parts = ", ".join(
            f"{name} {figure(median([each.cpu_ms[name] for each in rounds]))}" for name in pushed[0].cpu_ms
        )
        rows.append(
            (
                f"{rate} a second",
                f"{sum(each.events for each in rounds):,}",
                with_range([percentile(each.took, 50) for each in rounds]),
                with_range([percentile(each.took, 99) for each in rounds]),
                figure(max(max(each.took) for each in rounds)),
                str(sum(each.lost for each in rounds)),
                figure(1000 * max(each.behind for each in rounds)),
                parts,
            )
        )
    columns = ("events", "told", "p50 ms", "p99 ms", "longest", "lost", "writer behind by, ms", "CPU ms an event")
    return Table(
        "Commit to three subscribers",
        columns,
        rows,
        "*Behind* is how late the slowest commit was; what the writer and the subscribers cost is the machine's, too.",
    )


def _shown(shown: Sequence[float], missing: int) -> Table:
    row = (f"{len(shown):,}", figure(percentile(shown, 50)), figure(percentile(shown, 99)), figure(max(shown)))
    columns = ("counts received", "p50 ms", "p99 ms", "longest", "missed")
    return Table("Commit to open pages", columns, [(*row, str(missing))])


def _drained(drains: Sequence[Drain]) -> Table:
    rows = [
        (
            f"{drains[0].events:,}",
            with_range([each.events / each.seconds for each in drains]),
            with_range([1e6 * each.cpu / each.events for each in drains]),
        )
    ]
    columns = ("events in the outbox at once", "events/s", "relay's CPU ms / 1,000 events")
    return Table("How fast the relay empties an outbox into three queues", columns, rows)


def _goal(rate: int, rounds: Sequence[Pushed]) -> Goal:
    p99 = median([percentile(each.took, 99) for each in rounds])
    lost = sum(each.lost for each in rounds)
    return Goal(
        f"commit to three subscribers at {rate} events a second",
        f"none lost, p99 <= {P99_GOAL:.0f} ms",
        f"{lost} lost, {figure(p99)} ms",
        lost == 0 and p99 <= P99_GOAL,
    )
