"""How long `banyan up --demo` takes to start and to stop, and what it holds in memory at rest."""

import shutil
import time
from pathlib import Path

from bench import machine, site
from bench.figures import median
from bench.report import Goal, Plan, Section, Table, figure

REST_SECONDS = 5.0
WARM_GOAL, COLD_GOAL = 10, 30


def run(plan: Plan, folder: Path) -> Section:
    cold: list[float] = []
    warm: list[float] = []
    stop: list[float] = []
    memory: dict[str, list[float]] = {}
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


def _start_and_stop(data: Path, stop: list[float], memory: dict[str, list[float]] | None = None) -> float:
    """Seconds to ready. With `memory`, also how much each process holds after some rest."""
    demo = site.start(data)
    try:
        if memory is not None:
            time.sleep(REST_SECONDS)
            for name, mib in _held(demo).items():
                memory.setdefault(name, []).append(mib)
    finally:
        stop.append(demo.stop())
    return demo.start_seconds


def _held(demo: site.Demo) -> dict[str, float]:
    pids = demo.processes()
    supervisor = pids.pop("supervisor")
    held = {name: machine.pss_mib([pid]) for name, pid in pids.items()}
    # Everything descends from the supervisor, so what the others do not hold is its own and its guardian's.
    return {**held, "supervisor and guardian": machine.pss_mib([supervisor]) - sum(held.values())}


def _memory(memory: dict[str, list[float]]) -> Table:
    medians = {name: median(values) for name, values in memory.items()}
    rows = [(name, figure(mib)) for name, mib in sorted(medians.items(), key=lambda row: -row[1])]
    rows.append(("**together**", f"**{figure(sum(medians.values()))}**"))
    return Table(
        "Memory at rest",
        ("process", "PSS MiB"),
        rows,
        "Proportional set size from `/proc/PID/smaps_rollup`: what processes share is divided among them; a database"
        " counts with its sessions.",
    )
