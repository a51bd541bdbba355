"""The fault matrix as a page of Markdown: docs/faults.md after a whole run, bench/results/faults.md after a part."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from banyan.infra.faults import kinds
from bench import machine, servers, versions
from bench.figures import Window
from bench.report import figure
from tests.processes import dependencies
from tests.processes.dependencies import Cell

if TYPE_CHECKING:
    from bench.faults import Seen, Suffered


def write(
    suffered: "Sequence[Suffered]", idle: dict[str, Window], *, seconds: float, whole: bool, command: str
) -> None:
    folder = servers.ROOT / ("docs" if whole else "bench/results")
    folder.mkdir(parents=True, exist_ok=True)
    text = page(suffered, idle, seconds=seconds, command=command)
    (folder / "faults.md").write_text(text, encoding="utf-8")


def page(suffered: "Sequence[Suffered]", idle: dict[str, Window], *, seconds: float, command: str) -> str:
    here = machine.this_machine()
    version = versions.of_everything().get("Banyan", "")
    calm = ", ".join(f"{journey} {figure(each.p50)} / {figure(each.p99)} ms" for journey, each in idle.items())
    parts = [
        "# The fault matrix",
        f"Every fault of every part for {seconds:g} s while people on five journeys go on: what they saw, and how long"
        " after the end of the fault all was well again, every process ready included. Written by"
        f" `{command}` on {datetime.now(UTC):%Y-%m-%d}, on {here.cores} cores of {here.cpu} with"
        f" {here.memory_gib:.1f} GiB, Linux {here.kernel}, Banyan {version}; clients, servers and databases share those"
        " cores. `make test` tries all of it in short, and fails where a request does that should not. Make a fault"
        " yourself, in the demo: `banyan fault add learning hang --for 30s`.",
        "## Who needs what",
        _needs(),
        "What a journey does not need may break, and nobody on it notices: **0 failed requests**. What it needs may be"
        " felt: a late answer, or a page or problem document that says so, with `Retry-After` where trying again makes"
        " sense; never a reset connection and never a blank page, but where the front door itself is killed. Nothing"
        " that was confirmed is lost, and each event is heard once: this run checked all its enrolments.",
        "## What people saw",
        f"Where the journey does not need the part: p50 and p99 as multiples of idle ({calm}). *Italics*: it needs the"
        " part; how many of how many requests failed, by which answer, and the longest wait.",
        _table(suffered, idle),
        "## What makes no sense",
        _impossible(),
        "## The faults",
        "\n".join(f"- `{ailment}`: {meaning}." for ailment, meaning in kinds.MEANS.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _needs() -> str:
    rows = ["| journey | needs |", "|---|---|"]
    for journey, parts in dependencies.NEEDS.items():
        rows.append(f"| {journey} | {', '.join(f'`{part}`' for part in dependencies.PARTS if part in parts)} |")
    return "\n".join(rows)


def _table(suffered: "Sequence[Suffered]", idle: dict[str, Window]) -> str:
    rows = [
        f"| part | fault | {' | '.join(idle)} | well after |",
        f"|---|---|{'---|' * len(idle)}--:|",
    ]
    before = ""
    for each in suffered:
        part = f"`{each.cell.part}`" if each.cell.part != before else ""
        before = each.cell.part
        told = [_told(each.seen[journey], calm) for journey, calm in idle.items()]
        rows.append(f"| {part} | {each.cell.ailment} | {' | '.join(told)} | {each.recovered:.1f} s |")
    return "\n".join(rows)


def _told(seen: "Seen", calm: Window) -> str:
    failed = seen.failed
    if not seen.needs_it:
        ratios = f"{_ratio(seen.window.p50, calm.p50)} / {_ratio(seen.window.p99, calm.p99)}"
        return f"{ratios}, **{len(failed)} failed**" if failed else ratios
    longest = max((step.seconds for step in seen.steps), default=0.0)
    if not failed:
        return f"*all answered, longest {longest:.1f} s*"
    answers = {str(step.status) if step.status else "cut off" for step in failed}
    return f"*{len(failed)} of {len(seen.steps)}: {', '.join(sorted(answers))}; longest {longest:.1f} s*"


def _ratio(value: float, calm: float) -> str:
    return f"{value / calm:.1f}" if calm else "-"


def _impossible() -> str:
    every = [Cell(part, ailment) for part in dependencies.PARTS for ailment in kinds.Ailment]
    return "\n".join(f"- `{cell.part} {cell.ailment}`: {cell.impossible}" for cell in every if cell.impossible)
