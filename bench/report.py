"""What was measured, as a page of Markdown."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bench.machine import Machine

BUSY = 0.10


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    rounds: int
    seconds: float
    quick: bool
    faults: Sequence[str] = ()  # patterns of the cells of the fault matrix; none is all of them


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    what: str
    goal: str
    measured: str
    met: bool


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: float
    ours: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the chart; shorter bars are better unless `more_is_better`."""

    title: str
    unit: str
    bars: Sequence[Bar]
    more_is_better: bool = False


@dataclass(slots=True)
class Section:
    """One measurement. `left_out` says what was not measured and why."""

    name: str
    title: str
    about: str
    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seconds: float = 0.0
    others_busy: float = 0.0
    load: float = 0.0
    at: datetime | None = None
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All of one run, and where and how it was made."""

    command: str
    at: datetime
    commit: str
    machine: Machine
    versions: dict[str, str]
    sections: Sequence[Section]
    plan: Plan


def page(run: Run, *, chart: str | None) -> str:
    blocks = ["# Benchmarks", _introduction(run)]
    if chart:
        blocks.append(f"![The figures of this page as bars]({chart})")
    blocks += [_warning(run), _goals(run), *(_section(section) for section in run.sections), _where(run)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _introduction(run: Run) -> str:
    return (
        f"Written by `{run.command}`; `make bench` measures everything again. Each section was measured in one run on"
        f" one machine, each thing beside its peers in interleaved rounds; figures are medians of"
        f" {run.plan.rounds} rounds where nothing else is said, with the lowest and highest in"
        " parentheses where space allows."
        " Clients, servers and databases share the machine's cores, so requests per second say little about a larger"
        " machine; ratios between rows, and CPU time, carry over better."
    )


def _warning(run: Run) -> str:
    busiest = max((section.others_busy for section in run.sections), default=0.0)
    if busiest <= BUSY:
        return ""
    return (
        f"> **Warning: the machine was busy.** Just before or after a section other programs used {busiest:.0%} of it,"
        " so times and CPU times are higher than on an idle machine, and differences between rows are blurred."
    )


def _goals(run: Run) -> str:
    goals = [goal for section in run.sections for goal in section.goals]
    if not goals:
        return ""
    rows = [(goal.what, goal.goal, goal.measured, "met" if goal.met else "**missed**") for goal in goals]
    return "## Goals\n\n" + markdown_table(("what", "goal", "measured", ""), rows, left=4)


def _section(section: Section) -> str:
    blocks = [f"## {section.title}", section.about]
    for table in section.tables:
        blocks += [f"**{table.title}**", markdown_table(table.columns, table.rows), table.note]
    if section.left_out:
        blocks.append("Not measured: " + "; ".join(section.left_out) + ".")
    return "\n\n".join(block for block in blocks if block)


def _where(run: Run) -> str:
    machine = run.machine
    rows = [
        ("date", f"{run.at:%Y-%m-%d %H:%M} UTC"),
        ("commit", run.commit),
        ("processor", f"{machine.cpu}, {machine.cores} cores"),
        ("memory", f"{machine.memory_gib:.1f} GiB"),
        ("kernel", machine.kernel),
        *run.versions.items(),
    ]
    before = [
        (
            section.name,
            f"{section.at or run.at:%Y-%m-%d %H:%M}",
            section.commit or run.commit,
            f"{section.seconds:.0f} s",
            f"{section.others_busy:.0%}",
            f"{section.load:.1f}",
        )
        for section in run.sections
    ]
    return "\n\n".join(
        [
            "## Machine and run",
            markdown_table(("", ""), rows, left=2),
            "When each section was measured, of which commit, how long it took, how much of the machine other programs"
            " used in the two seconds before it or after it (the larger), and the load average of its last minute (most"
            " of that load is the bench's own)."
            " `make bench ARGS=--quick` is a rehearsal that writes to `bench/results/`; `ARGS='--only NAME'` measures"
            " one section, and with `--renew` puts it in the place of the last one here.",
            markdown_table(("section", "UTC", "commit", "took", "others", "load average"), before, left=3),
        ]
    )


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """The first `left` columns are text; the others are figures and stand right."""
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("|" + "|".join("---" if number < left else "--:" for number in range(len(columns))) + "|")
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def with_range(values: Sequence[float]) -> str:
    """The median, and between which values it lies."""
    return f"{figure(statistics.median(values))} ({figure(min(values))}-{figure(max(values))})"


def figure(value: float) -> str:
    """Three digits that mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"
