"""How long `banyan up --demo` takes to start and to stop, and what it holds in memory, at rest and under load."""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import learners, load, machine, site
from bench.figures import median
from bench.report import Goal, Plan, Section, Table, figure

REST_SECONDS = 5.0
LOAD_SECONDS = 5.0
CONNECTIONS = 16
PAGES = ("/", "/courses", "/courses?price=free", "/_banyan/api/v1/courses")
WARM_GOAL, COLD_GOAL = 10, 30


def run(plan: Plan, folder: Path) -> Section:
    cold: list[float] = []
    warm: list[float] = []
    stop: list[float] = []
    memory = Memory()
    for number in range(2 if plan.quick else 3):
        data = folder / f"data-{number}"
        cold.append(_start_and_stop(data, stop))
        for _ in range(1 if plan.quick else 2):
            warm.append(_start_and_stop(data, stop, memory))
        shutil.rmtree(data, ignore_errors=True)
    section = Section(
        name="start",
        title="Start, stop, memory",
        about=(
            "`banyan up --demo` from the command to its ready line: *cold* on an empty data folder (three PostgreSQL"
            " servers initialised, databases migrated, 300 courses and 2,000 people seeded), *warm* on one that was"
            " used before; *stop* from SIGTERM to the end of the last process."
        ),
    )
    rows = [
        (name, str(len(values)), figure(median(values)), figure(max(values)))
        for name, values in (("cold", cold), ("warm", warm), ("stop", stop))
    ]
    section.tables = [Table("Seconds", ("", "times", "median s", "longest"), rows), _memory(memory)]
    section.goals = [
        Goal("warm start to ready", f"<= {WARM_GOAL} s", f"{figure(median(warm))} s", median(warm) <= WARM_GOAL),
        Goal("cold start to ready", f"<= {COLD_GOAL} s", f"{figure(median(cold))} s", median(cold) <= COLD_GOAL),
    ]
    return section


@dataclass(slots=True)
class Memory:
    """MiB of each process, once for each start."""

    rest: dict[str, list[float]] = field(default_factory=dict)
    loaded: dict[str, list[float]] = field(default_factory=dict)


def _start_and_stop(data: Path, stop: list[float], memory: Memory | None = None) -> float:
    """Seconds to ready. With `memory`, also how much each process holds after some rest, and after load."""
    demo = site.start(data)
    try:
        if memory is not None:
            time.sleep(REST_SECONDS)
            _note(memory.rest, demo)
            _load(demo)
            _note(memory.loaded, demo)
    finally:
        stop.append(demo.stop())
    return demo.start_seconds


def _load(demo: site.Demo) -> None:
    """Old and new pages as fast as they go, first of visitors, then of somebody signed in."""
    reader = learners.sign_in(demo, 1)[0]
    for page in PAGES:
        for headers in (load.BROWSER, reader.headers):
            load.full(demo.url + page, connections=CONNECTIONS, seconds=LOAD_SECONDS / len(PAGES), headers=headers)


def _note(held: dict[str, list[float]], demo: site.Demo) -> None:
    for name, mib in _held(demo).items():
        held.setdefault(name, []).append(mib)


def _held(demo: site.Demo) -> dict[str, float]:
    pids = demo.processes()
    supervisor = pids.pop("supervisor")
    held = {name: machine.pss_mib([pid]) for name, pid in pids.items()}
    # Everything descends from the supervisor, so what the others do not hold is its own and its guardian's.
    return {**held, "supervisor and guardian": machine.pss_mib([supervisor]) - sum(held.values())}


def _memory(memory: Memory) -> Table:
    rest = {name: median(values) for name, values in memory.rest.items()}
    loaded = {name: median(values) for name, values in memory.loaded.items()}
    rows = [(name, figure(mib), figure(loaded[name])) for name, mib in sorted(rest.items(), key=lambda row: -row[1])]
    rows.append(("**together**", f"**{figure(sum(rest.values()))}**", f"**{figure(sum(loaded.values()))}**"))
    return Table(
        "Memory",
        ("process", "at rest, PSS MiB", "after load, PSS MiB"),
        rows,
        "Proportional set size from `/proc/PID/smaps_rollup`: what processes share is divided among them; a database"
        f" counts with its sessions. Load: {CONNECTIONS} connections as fast as it goes, on old and new pages and the"
        f" API, signed out and signed in, {2 * LOAD_SECONDS:.0f} s in all.",
    )
