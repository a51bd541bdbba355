"""The course list and a course page through the gateway, beside WordPress's front page."""

import contextlib
import json
import os
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import load, machine, servers, site
from bench.figures import median
from bench.report import Bar, Goal, Panel, Plan, Section, Table, figure

CONNECTIONS = 4
GOAL_MS = 2.0
OURS = ("web", "learning", "postgres-core", "envoy")


@dataclass(slots=True)
class Page:
    """A page and what it costs, a figure for each round; `parts` are the processes that make it."""

    name: str
    url: str
    parts: dict[str, list[int]]
    ours: bool
    headers: tuple[str, ...] = load.BROWSER
    script: Path | None = None
    runs: list[load.Full] = field(default_factory=list)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, seconds: float) -> None:
        before = {name: machine.cpu_seconds(pids) for name, pids in self.parts.items()}
        self.runs.append(self.load(seconds))
        for name, pids in self.parts.items():
            used = machine.cpu_seconds(pids) - before[name]
            self.cpu_ms.setdefault(name, []).append(1000 * used / self.runs[-1].requests)

    def load(self, seconds: float) -> load.Full:
        return load.full(self.url, connections=CONNECTIONS, seconds=seconds, headers=self.headers, script=self.script)

    @property
    def total_ms(self) -> float:
        return median([sum(each) for each in zip(*self.cpu_ms.values(), strict=True)])


def run(plan: Plan, folder: Path) -> Section:
    section = Section(name="pages", title="Pages", about=_ABOUT)
    with contextlib.ExitStack() as stack:
        pages = _pages(stack.enter_context(site.demo(folder / "data")))
        try:
            pages.append(stack.enter_context(_wordpress()))
        except servers.Missing as absent:
            section.left_out.append(f"WordPress: {absent}")
        for page in pages:
            page.load(1)
        for number in range(plan.rounds):
            for page in pages if number % 2 == 0 else reversed(pages):
                page.measure(2 * plan.seconds)
    section.tables = [table("Pages", pages), shares(pages)]
    section.goals = [
        Goal(
            f"{page.name}, anonymous, uncached: CPU a request of {', '.join(OURS)} together",
            f"<= {GOAL_MS:.0f} ms",
            f"{figure(page.total_ms)} ms",
            page.total_ms <= GOAL_MS,
        )
        for page in pages
        if page.ours
    ]
    section.panels = [
        Panel("CPU per page, all processes", "ms", [Bar(page.name, page.total_ms, page.ours) for page in pages])
    ]
    return section


def _pages(demo: site.Demo) -> list[Page]:
    with urllib.request.urlopen(f"{demo.url}/api/v1/courses?limit=1", timeout=10) as answer:
        slug = json.load(answer)["items"][0]["slug"]
    pids = demo.processes()
    new = {name: [pids[name]] for name in OURS}
    old = {name: [pids[name]] for name in ("old-site", "envoy")}
    return [
        Page("course list", f"{demo.url}/courses", new, True),
        Page("course page", f"{demo.url}/courses/{slug}", new, True),
        Page("the demo's old site, home", f"{demo.url}/", old, False),
    ]


@contextlib.contextmanager
def _wordpress() -> Iterator[Page]:
    """Debian's WordPress, freshly installed, as the journeys run it. Raises Missing."""
    import pytest

    from tests.journeys import wordpress

    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(wordpress.running())
        except pytest.skip.Exception as absent:
            raise servers.Missing(str(absent)) from None
        parts = {
            name: _naming(str(running.folder), program)
            for name, program in (("php-fpm", "php-fpm"), ("mariadb", "mariadbd"), ("nginx", "nginx"))
        }
        yield Page("WordPress, front page", f"{running.url}/", parts, False)


def _naming(folder: str, program: str) -> list[int]:
    """Processes whose command line names this folder and this program."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                command = Path(f"/proc/{entry}/cmdline").read_text(errors="replace")
                if folder in command and program in command:
                    found.append(int(entry))
    if not found:
        raise RuntimeError(f"no {program} runs in {folder}")
    return found


_ABOUT = (
    f"{CONNECTIONS} anonymous visitors at full speed, nothing cached anywhere, 300 courses. The *course list* shows the"
    " first 20 with filters; both pages pass Envoy, `web` (which renders), `learning` (over the private listener) and"
    " PostgreSQL. CPU time is what the kernel charged each process and its children, divided by the requests. The peer"
    " is Debian's WordPress with its default theme and a single post (nginx, php-fpm with opcode cache, MariaDB), asked"
    " directly, in the same rounds; a course plugin on top would only cost more."
)


def table(title: str, pages: list[Page]) -> Table:
    rows = [
        (
            page.name,
            figure(median([run.per_second for run in page.runs])),
            figure(median([run.p50 for run in page.runs])),
            figure(median([run.p99 for run in page.runs])),
            figure(page.total_ms),
            str(sum(run.failed for run in page.runs)),
        )
        for page in pages
    ]
    return Table(title, ("page", f"req/s, wrk c{CONNECTIONS}", "p50 ms", "p99 ms", "CPU ms a request", "failed"), rows)


def shares(pages: list[Page]) -> Table:
    rows = []
    for page in pages:
        shares = ", ".join(f"{name} {figure(median(each))}" for name, each in page.cpu_ms.items())
        rows.append((page.name, shares))
    return Table("Where the CPU time goes, ms a request", ("page", "processes"), rows)
