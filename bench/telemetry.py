"""What it costs that a Banyan knows what it does: counting, and tracing as much as it does by itself."""

import contextlib
import timeit
from pathlib import Path

from banyan.infra.telemetry.figures import Ledger
from bench import site
from bench.figures import median
from bench.pages import CONNECTIONS, OURS, Page
from bench.report import Goal, Plan, Section, Table, figure, with_range

GOAL_PERCENT = 5.0
VARIANTS = {"none": "0", "default": "", "all": "1000000"}
TRACED_BY = (*OURS, "monitor")
_SETTLE_SECONDS = 2  # the share follows the load within a second
_COUNTED = 20_000


def run(plan: Plan, folder: Path) -> Section:
    section = Section(name="telemetry", title="Telemetry", about=_ABOUT)
    with contextlib.ExitStack() as stack:
        pages = {
            name: _page(stack.enter_context(site.demo(folder / name, **_told(traces))), name)
            for name, traces in VARIANTS.items()
        }
        for page in pages.values():
            page.load(_SETTLE_SECONDS)
        for number in range(plan.rounds):
            for page in pages.values() if number % 2 == 0 else reversed(pages.values()):
                page.load(_SETTLE_SECONDS)
                page.measure(2 * plan.seconds)
    counting = _counting_ms()
    section.tables = [_table(pages), _counting(counting, pages["none"])]
    section.goals = [_goal(pages, counting)]
    return section


def _told(traces: str) -> dict[str, str]:
    return {"BANYAN_TRACES_PER_SECOND": traces} if traces else {}


def _page(demo: site.Demo, name: str) -> Page:
    pids = demo.processes()
    return Page(name, f"{demo.url}/courses", {each: [pids[each]] for each in TRACED_BY}, ours=True)


def _costs(page: Page) -> list[float]:
    """CPU ms a request, a figure for each round."""
    return [sum(each) for each in zip(*page.cpu_ms.values(), strict=True)]


def _more(page: Page, than: Page) -> list[float]:
    """Percent more, round by round, so that what disturbed a whole round cancels out."""
    return [100 * (one / other - 1) for one, other in zip(_costs(page), _costs(than), strict=True)]


def _counting_ms() -> float:
    """What one request of this page is counted with: two requests, a call and a statement with its span looked for."""
    ledger = Ledger()
    meters = (ledger.call("learning"), ledger.statement("learning"))

    def count() -> None:
        ledger.request("GET", "/courses", 200).note(0.0021)
        ledger.request("GET", "/api/v1/courses", 200).note(0.0012)
        for meter in meters:
            meter.note(0.0008)

    return 1000 * min(timeit.repeat(count, number=_COUNTED, repeat=5)) / _COUNTED


def _table(pages: dict[str, Page]) -> Table:
    labels = {"none": "no request", "default": "the default, 10 a second", "all": "every request"}
    rows = [
        (
            labels[name],
            figure(median([run.per_second for run in page.runs])),
            figure(median([run.p50 for run in page.runs])),
            with_range(_costs(page)),
            "" if name == "none" else f"{median(_more(page, pages['none'])):+.1f} %",
            str(sum(run.failed for run in page.runs)),
        )
        for name, page in pages.items()
    ]
    columns = ("traced", f"req/s, wrk c{CONNECTIONS}", "p50 ms", "CPU ms a request", "CPU more", "failed")
    return Table("The course list, traced more or less", columns, rows)


def _counting(counting: float, page: Page) -> Table:
    share = 100 * counting / median(_costs(page))
    row = ("counting", f"{1000 * counting:.1f}", f"{share:.2f} %")
    note = "Always on. A process that is asked for its figures makes them then, once a second."
    return Table("What is counted of such a request", ("", "microseconds", "of its CPU"), [row], note)


def _goal(pages: dict[str, Page], counting: float) -> Goal:
    share = 100 * counting / median(_costs(pages["none"])) + median(_more(pages["default"], pages["none"]))
    return Goal(
        "telemetry by default: more CPU a request",
        f"<= {GOAL_PERCENT:.0f} %",
        f"{share:+.1f} %",
        share <= GOAL_PERCENT,
    )


_ABOUT = (
    f"The course list, {CONNECTIONS} anonymous visitors at full speed, in three demos that run side by side and take"
    " turns: one that traces no request, one with default settings, one that traces every request. CPU time is that of"
    f" {', '.join(TRACED_BY)} together, divided by the requests; differences are medians of the rounds' own. What is"
    " counted all the time is measured apart, because it cannot be switched off."
)
