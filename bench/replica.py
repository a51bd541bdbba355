"""What a replica costs, how long its promotion takes, and what is lost by it."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from banyan.infra import databases, embedded
from bench import learners, machine, site
from bench.figures import median, percentile
from bench.report import Goal, Plan, Section, Table, figure, with_range
from tests.processes.people import Learner

CORE = databases.server_of("learning")
KINDS = ("none", "asynchronous", "synchronous")
NAMES = {"none": "no replica", "asynchronous": "asynchronous replica", "synchronous": "synchronous replica"}
WORKERS = ("learning", "postgres-core", "postgres-core-replica")
AT_ONCE = 2
BEFORE = 20
COMMAND_SECONDS = 120
LONGEST = 10.0


@dataclass(slots=True)
class Cost:
    """Of enrolments with one kind of replica: milliseconds of each, and CPU milliseconds of each block's."""

    took: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Loss:
    pauses: list[float] = field(default_factory=list)
    told: int = 0
    lost: int = 0
    said: list[str] = field(default_factory=list)


def run(plan: Plan, folder: Path) -> Section:
    promotions, blocks, size = (1, 1, 30) if plan.quick else (3, 5, 60)
    with site.demo(folder / "data") as demo:
        signed_in = [
            each.learner for each in learners.sign_in(demo, 1 + blocks * len(KINDS) + 2 * promotions * AT_ONCE)
        ]
        slugs = learners.free_courses(signed_in[0], 100)
        _enrol(demo, signed_in.pop(), slugs[:size], Cost())  # everything has been used once
        costs = _costs(demo, signed_in, slugs, blocks=blocks, size=size)
        losses = {kind: Loss() for kind in KINDS[1:]}
        for _ in range(promotions):
            for kind, loss in losses.items():
                _promotion(demo, kind, loss, [signed_in.pop() for _ in range(AT_ONCE)], slugs)
    section = Section(name="replica", title="A replica and its promotion", about=_ABOUT)
    section.tables = [_cost_table(costs), _loss_table(losses)]
    pauses = [pause for loss in losses.values() for pause in loss.pauses]
    section.goals = [
        Goal(
            f"promoting a replica under load, {len(pauses)} times after the loss of its server",
            f"<= {LONGEST:.0f} s without writes",
            f"{figure(max(pauses))} s at most",
            max(pauses) <= LONGEST,
        ),
        Goal(
            "enrolments lost with a synchronous replica",
            "0",
            f"{losses['synchronous'].lost} of {losses['synchronous'].told:,} confirmed",
            not losses["synchronous"].lost,
        ),
    ]
    return section


def _costs(
    demo: site.Demo, signed_in: list[Learner], slugs: Sequence[str], *, blocks: int, size: int
) -> dict[str, Cost]:
    """Blocks of the three kinds in turn: without a replica, and with one that is made anew each time."""
    costs = {kind: Cost() for kind in KINDS}
    for _ in range(blocks):
        for kind, cost in costs.items():
            if kind == "none":
                _enrol(demo, signed_in.pop(), slugs[:size], cost)
                _banyan(demo, "replicate", "core")
            else:
                if kind == "synchronous":
                    _banyan(demo, "replicate", "core", "--synchronous")
                _enrol(demo, signed_in.pop(), slugs[:size], cost)
        _banyan(demo, "unreplicate", "core")
    return costs


def _enrol(demo: site.Demo, learner: Learner, slugs: Sequence[str], cost: Cost) -> None:
    before = _cpu_seconds(demo)
    for slug in slugs:
        begin = time.monotonic()
        learner.enrol_until_told(slug)
        cost.took.append(1000 * (time.monotonic() - begin))
    cost.cpu.append(1000 * (_cpu_seconds(demo) - before) / len(slugs))


def _cpu_seconds(demo: site.Demo) -> float:
    pids = [pid for name, pid in demo.processes().items() if name in WORKERS]
    return machine.cpu_seconds(pids)


def _promotion(demo: site.Demo, kind: str, loss: Loss, crowd: Sequence[Learner], slugs: Sequence[str]) -> None:
    """The server is killed and its folder deleted while learners enrol; then its replica is promoted."""
    _banyan(demo, "replicate", "core", f"--{kind}")
    told: list[tuple[float, int, str]] = []

    def enrol(number: int, learner: Learner) -> None:
        for slug in slugs:
            learner.enrol_until_told(slug)
            told.append((time.monotonic(), number, slug))

    threads = [threading.Thread(target=enrol, args=each) for each in enumerate(crowd)]
    for thread in threads:
        thread.start()
    while len(told) < BEFORE:
        time.sleep(0.005)
    place = embedded.data_folder(demo.settings, CORE)
    gone = place.with_name("core.gone")
    place.rename(gone)
    subprocess.run(["kill", "-9", str(demo.processes()["postgres-core"])], check=True)
    said = _banyan(demo, "promote", "core")
    for thread in threads:
        thread.join(COMMAND_SECONDS)
    shutil.rmtree(gone, ignore_errors=True)
    loss.pauses.append(max(after - before for before, after in pairwise(sorted(at for at, _, _ in told))))
    loss.told += len(told)
    loss.said += [line for line in said.splitlines() if "lost" in line]
    for number, learner in enumerate(crowd):
        loss.lost += len({slug for _, by, slug in told if by == number} - _taken(learner))


def _taken(learner: Learner) -> set[str]:
    found: set[str] = set()
    after = ""
    while True:
        status, page = learner.call("GET", f"/_banyan/api/v1/enrolments?limit=100{after}")
        if status != 200:
            raise RuntimeError(f"the list of enrolments answers {status}: {page}")
        found |= {item["course"] for item in page["items"]}
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def _banyan(demo: site.Demo, *arguments: str) -> str:
    command = [sys.executable, "-m", "banyan", "db", *arguments, "--data", str(demo.data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"banyan db {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def _cost_table(costs: dict[str, Cost]) -> Table:
    alone = costs["none"]
    rows = [
        (
            NAMES[kind],
            str(len(cost.took)),
            figure(median(cost.took)),
            figure(percentile(cost.took, 99)),
            f"{median(cost.took) / median(alone.took):.2f}",
            with_range(cost.cpu),
            f"{median(cost.cpu) / median(alone.cpu):.2f}",
        )
        for kind, cost in costs.items()
    ]
    columns = ("", "enrolments", "p50 ms", "p99 ms", "p50, ratio", "CPU ms each", "CPU, ratio")
    return Table("Enrolling, one after the other", columns, rows)


def _loss_table(losses: dict[str, Loss]) -> Table:
    rows = [
        (
            NAMES[kind],
            str(len(loss.pauses)),
            with_range(loss.pauses),
            f"{loss.told:,}",
            str(loss.lost),
        )
        for kind, loss in losses.items()
    ]
    columns = ("", "promotions", "s without writes", "confirmed enrolments", "lost")
    said = losses["asynchronous"].said
    note = f"Of an asynchronous one `promote` said, the last time: {said[-1]}" if said else ""
    return Table("`kill -9` of the server, its folder deleted, `banyan db promote core`", columns, rows, note=note)


_ABOUT = (
    "Learners enrol in free courses through the front door. First one after the other, with three kinds of replica of"
    f" the server *core* in turn; CPU is that of {', '.join(WORKERS)}. Then {AT_ONCE} at a time, while the server is"
    " killed, its folder is deleted and the replica is promoted by the command; without writes is the time between the"
    " last confirmed enrolment before and the first after it, the start of the command included. Lost is what was"
    " confirmed and is not in the learner's list afterwards."
)
