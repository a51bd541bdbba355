"""What the gateway's samples say."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.figures import median, median_difference
from bench.report import Bar, Goal, Panel, Section, Table, figure, with_range

DIRECT, NGINX, PLAIN, OURS, OURS_1000 = "direct", "nginx", "plain Envoy", "Banyan", "Banyan, 1,000 routes"
PATHS = {"old": "/old/page", "new": "/courses"}
CONNECTIONS = 32
RATE = 500


@dataclass(slots=True)
class Samples:
    """Of one door and one side, a figure for each round: milliseconds, and CPU seconds per 1,000 requests."""

    per_second: list[float] = field(default_factory=list)
    full_p99: list[float] = field(default_factory=list)
    full_cpu: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    failed: int = 0


def report_of(samples: dict[tuple[str, str], Samples], applies: Sequence[float]) -> Section:
    names = list(dict.fromkeys(name for name, _ in samples))
    section = Section(
        name="gateway",
        title="Gateway",
        about=(
            "Every proxy has one worker thread and stands before the same nginx, which answers 1 KB from memory: over"
            " TCP as the old site, over a Unix socket as the new side. Requests carry a browser's headers with cookies,"
            " one of them Banyan's. *Plain Envoy* is the same binary with two routes, the router and nothing else."
            " *Banyan* is the snapshot that `banyan up` serves: identity headers removed, routed, Banyan's cookies cut,"
            " request ids, headers for the old site, access log written. *nginx* is Debian's, with keep-alive to the"
            " upstream and its usual access log. *direct* is the generator's own floor."
        ),
    )
    section.tables = [
        table for side in PATHS for table in (_full_speed(samples, names, side), _paced(samples, names, side))
    ]
    section.tables.append(_applied(applies))
    section.goals = [_goal(samples, side) for side in PATHS]
    section.panels = [
        Panel(
            "Proxy CPU per 1,000 requests to the new side",
            "ms",
            [
                Bar(name, 1000 * median(samples[name, "new"].full_cpu), name in (OURS, OURS_1000))
                for name in names
                if name != DIRECT
            ],
        )
    ]
    return section


def _full_speed(samples: dict[tuple[str, str], Samples], names: list[str], side: str) -> Table:
    rows = []
    for name in names:
        of = samples[name, side]
        cpu = with_range([1000 * seconds for seconds in of.full_cpu]) if name != DIRECT else ""
        rows.append((name, with_range(of.per_second), figure(median(of.full_p99)), cpu, str(of.failed)))
    columns = ("proxy", f"req/s, wrk c{CONNECTIONS}", "p99 ms", "CPU ms / 1,000 requests", "failed")
    return Table(f"{side.capitalize()} side ({PATHS[side]}), as fast as it goes", columns, rows)


def _paced(samples: dict[tuple[str, str], Samples], names: list[str], side: str) -> Table:
    plain = samples[PLAIN, side]
    rows = []
    for name in names:
        of = samples[name, side]
        row = [name, figure(median(of.p50)), figure(median(of.p99))]
        if name == DIRECT:
            row += ["", "", ""]
        else:
            row += [figure(median_difference(of.p50, plain.p50)), figure(median_difference(of.p99, plain.p99))]
            row.append(with_range([1000 * seconds for seconds in of.cpu]))
        rows.append(row)
    columns = ("proxy", "p50 ms", "p99 ms", "p50 over plain Envoy", "p99 over plain Envoy", "CPU ms / 1,000 requests")
    return Table(
        f"{side.capitalize()} side ({PATHS[side]}), {RATE} requests a second",
        columns,
        rows,
        "Sent when due and timed from when due, whatever became of the requests before. *Over plain Envoy* is the"
        " median of the differences within each round; a negative one is smaller than what this run can tell.",
    )


def _applied(applies: Sequence[float]) -> Table:
    return Table(
        "Changing one row of 1,000: rendered, validated by Envoy, written, confirmed",
        ("times", "median ms", "longest"),
        [(str(len(applies)), figure(1000 * median(applies)), figure(1000 * max(applies)))],
    )


def _goal(samples: dict[tuple[str, str], Samples], side: str) -> Goal:
    ours, plain = samples[OURS, side], samples[PLAIN, side]
    p50, p99 = median_difference(ours.p50, plain.p50), median_difference(ours.p99, plain.p99)
    return Goal(
        f"gateway, added latency over plain Envoy at {RATE} req/s, {side} side (anonymous requests, no recording yet)",
        "p50 <= 0.5 ms, p99 <= 3 ms",
        f"{figure(p50)} / {figure(p99)} ms",
        p50 <= 0.5 and p99 <= 3,
    )
