"""The fault matrix, measured: every fault of every part, and what people on five journeys saw of it."""

import statistics
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from banyan.infra.faults.kinds import Ailment
from bench import faults_page, site
from bench.figures import Verdict, Window, bystander, median, percentile
from bench.report import Goal, Plan, Section, Table, figure
from tests.journeys.front_door import FrontDoor
from tests.processes import dependencies, matrix
from tests.processes.dependencies import Cell
from tests.processes.matrix import Town
from tests.processes.travellers import Step

SECONDS, QUICK_SECONDS = 5.0, 1.5
CELLS_PER_IDLE = 6
LEARNERS = 40
RECOVERED_WITHIN = 90.0
SETTLE_SECONDS = 0.5
QUICK = ("gateway-hang", "learning-errors", "postgres-core-crash")


@dataclass(frozen=True, slots=True)
class Seen:
    """What people on one journey saw while a fault lasted and until all was well."""

    journey: str
    needs_it: bool
    steps: list[Step]
    window: Window

    @property
    def failed(self) -> list[Step]:
        return [step for step in self.steps if not step.well]


@dataclass(frozen=True, slots=True)
class Suffered:
    cell: Cell
    recovered: float
    seen: dict[str, Seen]


def run(plan: Plan, folder: Path) -> Section:
    seconds = QUICK_SECONDS if plan.quick else SECONDS
    wanted = plan.faults or (QUICK if plan.quick else ("*",))
    every = dependencies.cells(*dependencies.PARTS)
    cells = [cell for cell in every if any(fnmatch(str(cell), pattern) for pattern in wanted)]
    section = Section(name="faults", title="Faults", about=_about(seconds))
    if not cells:
        section.left_out.append(f"everything: no cell of the fault matrix is called {', '.join(wanted)}")
        return section
    idle: dict[str, list[Window]] = {journey: [] for journey in dependencies.NEEDS}
    suffered: list[Suffered] = []
    with (
        site.demo(folder / "data") as demo,
        matrix.populated(FrontDoor(demo.url, demo.data), learners=LEARNERS) as town,
    ):
        time.sleep(seconds)  # what the first of everything costs is no news
        for number, cell in enumerate(cells):
            if number % CELLS_PER_IDLE == 0:
                _idle(town, seconds, idle)
            suffered.append(_suffer(town, cell, seconds))
        _idle(town, seconds, idle)
        town.check_nothing_is_lost()
    limits = {journey: _idle_window(windows) for journey, windows in idle.items()}
    section.tables = [_counted(suffered, limits)]
    section.goals = _goals(suffered, idle)
    whole = not plan.quick and not plan.faults
    faults_page.write(suffered, limits, seconds=seconds, whole=whole, command=_command(plan))
    return section


def _suffer(town: Town, cell: Cell, seconds: float) -> Suffered:
    lasts = 0.0 if cell.ailment is Ailment.crash else seconds
    begin, recovered = town.strike(cell, seconds=lasts, patience=RECOVERED_WITHIN)
    if (left := begin + seconds - time.monotonic()) > 0:
        time.sleep(left)  # a window as long as the others, so that its percentiles mean the same
    seen = {}
    for each in town.people:
        steps = each.since(begin)
        seen[each.journey] = Seen(each.journey, cell.may_be_felt_on(each.journey), steps, _window(steps))
    time.sleep(SETTLE_SECONDS)
    return Suffered(cell, recovered, seen)


def _idle(town: Town, seconds: float, idle: dict[str, list[Window]]) -> None:
    begin = time.monotonic()
    time.sleep(seconds)
    for each in town.people:
        idle[each.journey].append(_window(each.since(begin)))


def _window(steps: list[Step]) -> Window:
    took = [1000 * step.seconds for step in steps if step.well] or [0.0]
    failed = sum(not step.well for step in steps)
    return Window(p50=percentile(took, 50), p99=percentile(took, 99), failed=failed)


def _idle_window(windows: list[Window]) -> Window:
    return Window(
        p50=median([each.p50 for each in windows]),
        p99=median([each.p99 for each in windows]),
        failed=sum(each.failed for each in windows),
    )


def _goals(suffered: list[Suffered], idle: dict[str, list[Window]]) -> list[Goal]:
    goals = [_bystanders(journey, suffered, calm) for journey, calm in idle.items()]
    needing = [(each, seen) for each in suffered for seen in each.seen.values() if seen.needs_it]
    unclear = [
        step
        for each, seen in needing
        for step in seen.failed
        if not step.clear and not matrix.excused(each.cell, seen.journey, step)
    ]
    requests = sum(len(seen.steps) for _, seen in needing)
    goals.append(
        Goal(
            "answers that were cut off, blank, or did not say when to come again, while something needed is at fault",
            "0",
            f"{len(unclear)} of {requests:,}",
            not unclear,
        )
    )
    return goals


def _bystanders(journey: str, suffered: list[Suffered], calm: list[Window]) -> Goal:
    """The bystander rule for each part that the journey does not need, over that part's faults."""
    verdicts: dict[str, Verdict] = {}
    for part in dict.fromkeys(each.cell.part for each in suffered):
        seen = [each.seen[journey] for each in suffered if each.cell.part == part]
        if windows := [each.window for each in seen if not each.needs_it]:
            verdicts[part] = bystander(idle=calm, disturbed=windows)
    broken = [part for part, verdict in verdicts.items() if not verdict.holds]
    limits = next(iter(verdicts.values()), None)
    if limits is None:
        return Goal(f"{journey} while what they do not need is at fault", "", "nothing was tried", True)
    return Goal(
        f"{journey} while each of {len(verdicts)} parts that they do not need has all its faults",
        f"0 failed, p50 <= {figure(limits.p50_limit)} ms, p99 <= {figure(limits.p99_limit)} ms",
        f"{sum(verdict.failed for verdict in verdicts.values())} failed, at worst"
        f" {figure(max(verdict.p50 for verdict in verdicts.values()))} /"
        f" {figure(max(verdict.p99 for verdict in verdicts.values()))} ms"
        + (f"; not while {', '.join(broken)}" if broken else ""),
        not broken,
    )


def _counted(suffered: list[Suffered], idle: dict[str, Window]) -> Table:
    rows = []
    for journey, calm in idle.items():
        beside = [each.seen[journey] for each in suffered if not each.seen[journey].needs_it]
        needing = [each.seen[journey] for each in suffered if each.seen[journey].needs_it]
        rows.append(
            (
                journey,
                f"{figure(calm.p50)} / {figure(calm.p99)}",
                str(len(beside)),
                str(sum(len(seen.steps) for seen in beside)),
                str(sum(len(seen.failed) for seen in beside)),
                str(len(needing)),
                str(sum(len(seen.steps) for seen in needing)),
                str(sum(len(seen.failed) for seen in needing)),
            )
        )
    recovered = [each.recovered for each in suffered]
    note = (
        f"{len(suffered)} faults; all was well again {statistics.median(recovered):.1f} s after their end, at the"
        f" latest after {max(recovered):.1f} s. Each by itself: [the fault matrix](faults.md)."
    )
    columns = ["journey", "idle p50 / p99 ms", "faults beside it", "requests", "failed"]
    columns += ["faults of what it needs", "requests", "failed"]
    return Table("What people on five journeys saw", columns, rows, note)


def _about(seconds: float) -> str:
    return (
        f"Every fault of every part for {seconds:g} s, one after the other, while people on five journeys go on. Where"
        " a journey does not need the part, the *bystander rule* holds: no failed request, p50 at most 1.2 times idle,"
        " p99 at most twice idle or idle + 10 ms, on the medians of the windows of a part's faults."
    )


def _command(plan: Plan) -> str:
    chosen = "".join(f" --faults '{pattern}'" for pattern in plan.faults)
    return f"python -m bench --only faults{chosen}{' --quick' if plan.quick else ''}"
