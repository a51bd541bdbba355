"""A page of the old site while something else hangs or dies."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import load, machine, site
from bench.figures import Verdict, Window, bystander, median
from bench.report import Goal, Plan, Section, Table, figure

VICTIMS = ("learning", "postgres-core")
RATE = 80
OTHER_RATE = 15
INTO_THE_WINDOW = 0.3
SETTLE_SECONDS = 1.0
MANY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    victim: str
    how: str  # "hung" or "killed"

    @property
    def name(self) -> str:
        return f"{self.victim} {self.how}"


def run(plan: Plan, folder: Path) -> Section:
    rounds, seconds = (plan.rounds, 2.0) if plan.quick else (max(5, plan.rounds), 3.0)
    cases = [Case(victim, how) for victim in VICTIMS for how in ("hung", "killed")]
    idle: list[Window] = []
    disturbed: dict[str, list[Window]] = {case.name: [] for case in cases}
    back: dict[str, list[float]] = {case.name: [] for case in cases}
    with site.demo(folder / "data") as demo:
        _window(demo, 1.0, lambda: None)
        for _ in range(rounds):
            for case in cases:
                if case.how == "hung":  # an idle window before each victim: the machine's own weather changes
                    idle.append(_window(demo, seconds, lambda: None))
                disturbed[case.name].append(_disturbed(demo, case, seconds, back[case.name]))
    verdicts = {name: bystander(idle=idle, disturbed=windows) for name, windows in disturbed.items()}
    section = Section(name="bystander", title="Bystanders", about=_about(seconds))
    section.tables = [_table(idle, verdicts, back, rounds, seconds)]
    section.goals = [_goal(name, verdict, rounds) for name, verdict in verdicts.items()]
    return section


def _window(demo: site.Demo, seconds: float, disturb: Callable[[], None]) -> Window:
    """Visitors of an old page, while others ask for a page that needs the victim."""
    disturbance = threading.Timer(INTO_THE_WINDOW, disturb)
    with load.paced_meanwhile(f"{demo.url}/courses", rate=OTHER_RATE, seconds=MANY_SECONDS, timeout=20):
        time.sleep(SETTLE_SECONDS)  # until that load runs; what a generator costs to start is no disturbance
        disturbance.start()
        window = load.paced(f"{demo.url}/", rate=RATE, seconds=seconds).window()
        disturbance.join()
    return window


def _disturbed(demo: site.Demo, case: Case, seconds: float, back: list[float]) -> Window:
    pid = demo.processes()[case.victim]
    everyone = machine.with_descendants([pid])  # a server that hangs does so with its sessions
    gone: list[float] = []

    def kill() -> None:
        gone.append(time.monotonic())
        os.kill(pid, signal.SIGKILL)
        while demo.processes().get(case.victim, pid) == pid or not demo.is_ready():
            if time.monotonic() - gone[0] > MANY_SECONDS:
                return
            time.sleep(0.02)
        back.append(time.monotonic() - gone[0])

    def hang() -> None:
        _signal(everyone, signal.SIGSTOP)
        time.sleep(seconds - INTO_THE_WINDOW)
        _signal(everyone, signal.SIGCONT)

    try:
        window = _window(demo, seconds, kill if case.how == "killed" else hang)
    finally:
        _signal(everyone if case.how == "hung" else [], signal.SIGCONT)
    demo.wait_until_ready()
    time.sleep(SETTLE_SECONDS)
    return window


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:  # a session that ended meanwhile
            continue


def _about(seconds: float) -> str:
    return (
        f"The old site's home page at {RATE} requests a second in windows of {seconds:.0f} s, while {OTHER_RATE}"
        " requests a second ask for the course list, which needs the victim. In *idle* windows nothing happens to it;"
        " then it is stopped (SIGSTOP, a database with all its sessions) or killed (SIGKILL) at the window's start;"
        " windows take turns. The *bystander rule*: no failed request, p50 at most 1.2 times idle, p99 at most twice"
        " idle or idle + 10 ms, on the medians of the windows."
    )


def _table(
    idle: list[Window], verdicts: dict[str, Verdict], back: dict[str, list[float]], windows: int, seconds: float
) -> Table:
    calm = (
        "idle",
        str(len(idle)),
        figure(median([window.p50 for window in idle])),
        "",
        figure(median([window.p99 for window in idle])),
        "",
        str(sum(window.failed for window in idle)),
        "",
        "",
    )
    rows = [calm]
    for name, verdict in verdicts.items():
        rows.append(
            (
                name,
                str(windows),
                figure(verdict.p50),
                figure(verdict.p50_limit),
                figure(verdict.p99),
                figure(verdict.p99_limit),
                str(verdict.failed),
                "holds" if verdict.holds else "**broken**",
                f"{median(back[name]):.1f}" if back[name] else "",
            )
        )
    columns = ("", "windows", "p50 ms", "at most", "p99 ms", "at most", "failed", "rule", "back after, s")
    requests = round(RATE * seconds)
    return Table("An old page while something else is away", columns, rows, f"{requests} requests in each window.")


def _goal(name: str, verdict: Verdict, windows: int) -> Goal:
    return Goal(
        f"old page while {name} ({windows} windows)",
        f"0 failed, p50 <= {figure(verdict.p50_limit)} ms, p99 <= {figure(verdict.p99_limit)} ms",
        f"{verdict.failed} failed, {figure(verdict.p50)} / {figure(verdict.p99)} ms",
        verdict.holds,
    )
