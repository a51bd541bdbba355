"""`python -m bench`: measure, and write docs/benchmarks.md; `--quick` and `--only` write to bench/results/."""

import argparse
import dataclasses
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from banyan.kit.errors import Unavailable
from bench import (
    bystander,
    chart,
    events,
    faults,
    flips,
    gateway,
    machine,
    pages,
    people,
    replica,
    report,
    servers,
    signin,
    start,
    telemetry,
    versions,
)
from bench.report import Plan, Run, Section

SECTIONS = {
    "gateway": gateway.run,
    "flips": flips.run,
    "pages": pages.run,
    "people": people.run,
    "signin": signin.run,
    "events": events.run,
    "bystander": bystander.run,
    "faults": faults.run,
    "replica": replica.run,
    "telemetry": telemetry.run,
    "start": start.run,
}
FULL = Plan(rounds=5, seconds=2.0, quick=False)
QUICK = Plan(rounds=2, seconds=1.0, quick=True)
LOOK_SECONDS = 2.0
FAULTS = (
    OSError,
    RuntimeError,
    ValueError,
    AssertionError,
    Unavailable,
    servers.Missing,
    subprocess.SubprocessError,
)


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short rounds, to see that everything works")
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, metavar="NAME", help="one section; may be repeated"
    )
    parser.add_argument(
        "--faults",
        action="append",
        default=[],
        metavar="PATTERN",
        help="faults of the section faults, such as 'learning-*'; may be repeated",
    )
    parser.add_argument(
        "--renew", action="store_true", help="put the sections of --only into docs/benchmarks.md, and keep its others"
    )
    parser.add_argument("--list", action="store_true", help="name the sections and end")
    told = parser.parse_args(arguments)
    if told.list:
        print("\n".join(SECTIONS))
        return 0
    if told.renew and (told.quick or not told.only or told.faults):
        parser.error("--renew goes with --only, and with whole sections")
    plan = dataclasses.replace(QUICK if told.quick else FULL, faults=tuple(told.faults))
    names = told.only or list(SECTIONS)
    sections = [_measured(name, plan) for name in names]
    command = " ".join(["python -m bench", *arguments]) if arguments else "make bench"
    run = Run(
        command=command,
        at=datetime.now(UTC),
        commit=_commit(),
        machine=machine.this_machine(),
        versions=versions.of_everything(),
        sections=sections,
        plan=plan,
    )
    if told.renew:
        run = _with_the_others(run)
    whole = told.renew or not (plan.quick or told.only)
    page = _write(run, servers.ROOT / ("docs" if whole else "bench/results"))
    print(f"Wrote {page.relative_to(servers.ROOT)}")
    return 1 if any(not section.tables for section in sections) else 0


def _with_the_others(run: Run) -> Run:
    """The published sections, with those of this run in their places."""
    published = msgspec.json.decode((servers.ROOT / "docs/benchmarks.json").read_bytes(), type=Run)
    by_name = {section.name: section for section in (*published.sections, *run.sections)}
    return dataclasses.replace(run, sections=[by_name[name] for name in SECTIONS if name in by_name])


def _measured(name: str, plan: Plan) -> Section:
    """One section; what goes wrong in it is reported, and the others are measured all the same."""
    busy = machine.busy_share(LOOK_SECONDS)
    print(f"{name} ... (others use {busy:.0%} of the machine)", file=sys.stderr, flush=True)
    begin = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        section = SECTIONS[name](plan, folder)
    except FAULTS as fault:
        section = Section(name, name.capitalize(), "", left_out=[f"everything, because of {fault!r}"])
        print(f"{name}: {fault!r}", file=sys.stderr)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    section.seconds = time.monotonic() - begin
    section.others_busy = max(busy, machine.busy_share(LOOK_SECONDS))
    section.load = machine.load_average()
    section.at = datetime.now(UTC)
    section.commit = _commit()
    print(f"{name} took {section.seconds:.0f} s", file=sys.stderr, flush=True)
    return section


def _write(run: Run, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    panels = [panel for section in run.sections for panel in section.panels]
    if panels:
        (folder / "benchmarks.svg").write_text(chart.draw(panels), encoding="utf-8")
    page = folder / "benchmarks.md"
    page.write_text(report.page(run, chart="benchmarks.svg" if panels else None), encoding="utf-8")
    figures = msgspec.json.format(msgspec.json.encode(run), indent=1)
    (folder / "benchmarks.json").write_bytes(figures)
    return page


def _commit() -> str:
    command = ["git", "-C", str(servers.ROOT), "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not a git checkout"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
