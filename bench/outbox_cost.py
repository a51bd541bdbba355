"""What the outbox costs the real `enrol`: the same operation with its event's rows and without, in turns.

`python -m bench.outbox_cost DATA with|without COURSE...` is one of the two, as a process of its own: for each number on
a line of its input it enrols so many people, and says what that cost it.
"""

import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from uuid import UUID

from banyan.demo import people
from banyan.infra import logs, postgres
from banyan.infra.settings import Settings
from banyan.kit.ids import uuid7
from banyan.learning.domain.courses import PersonId
from banyan.learning.operations.enrolments import Enrolments
from banyan.messaging import outbox
from bench import learners, machine, servers, site
from bench.figures import median
from bench.report import Goal, Plan, Section, Table, with_range
from tests.journeys.front_door import FrontDoor
from tests.processes.people import Learner

WITH, WITHOUT, REQUEST = "with", "without", "the request"
AT_ONCE = 8
COURSES = 8
WARM = 100
GOAL = 25.0
LEARNERS = 2_000
DRAIN_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Round:
    """CPU ms an enrolment: of the process that enrols, and of its server."""

    learning: float
    server: float

    @property
    def both(self) -> float:
        return self.learning + self.server


def measure(demo: site.Demo, plan: Plan, section: Section) -> None:
    rounds, number = (3, 250) if plan.quick else (7, 600)
    courses = learners.free_courses(Learner(FrontDoor(demo.url, demo.data)), COURSES)
    measured: dict[str, list[Round]] = {WITHOUT: [], WITH: []}
    with contextlib.ExitStack() as stack:
        ways = {way: stack.enter_context(_enrolling(demo, way, courses)) for way in measured}
        for way in ways.values():
            _enrol(way, WARM)
        for turn in range(rounds):
            for name in measured if turn % 2 == 0 else reversed(measured):
                measured[name].append(_round(demo, ways[name], number))
    requests = _requests(demo, courses, plan)
    section.tables.append(_table(measured, requests, number))
    whole = [median(_more(measured)) / (each.both - median(_more(measured))) for each in requests]
    section.goals.append(
        Goal(
            "an enrolment with its event: more CPU of the process learning and its server",
            f"<= {GOAL:.0f} %",
            f"{100 * median(whole):+.0f} %",
            100 * median(whole) <= GOAL,
        )
    )


def _more(measured: dict[str, list[Round]]) -> list[float]:
    """CPU ms an enrolment, round by round."""
    return [told.both - silent.both for told, silent in zip(measured[WITH], measured[WITHOUT], strict=True)]


def _table(measured: dict[str, list[Round]], requests: Sequence[Round], number: int) -> Table:
    more = _more(measured)
    said = {
        WITHOUT: "",
        WITH: with_range([100 * each / silent.both for each, silent in zip(more, measured[WITHOUT], strict=True)]),
        REQUEST: with_range([100 * median(more) / (each.both - median(more)) for each in requests]),
    }
    every = {**measured, REQUEST: list(requests)}
    rows = [
        (
            name if name == REQUEST else f"the operation, {name} its event",
            with_range([each.learning for each in rounds]),
            with_range([each.server for each in rounds]),
            with_range([each.both for each in rounds]),
            said[name],
        )
        for name, rounds in every.items()
    ]
    columns = ("an enrolment", "CPU ms, its process", "postgres-core", "both", "the outbox's part: % more")
    return Table(
        "What the outbox costs",
        columns,
        rows,
        f"The operation by itself, {AT_ONCE} at a time in {COURSES} courses, {number} in each of {len(more)} rounds"
        " that take turns, each way in a process of its own in which `outbox.add` is as it is or does nothing; reading"
        " what is in the outbox, which the relay does in the same server, is in it. *The request* is the whole of it as"
        " a learner's browser asks for it, in the process `learning`: what is more is the same.",
    )


def _requests(demo: site.Demo, taken: Sequence[str], plan: Plan) -> list[Round]:
    """Whole requests at the front door, by learners who have signed in."""
    courses, number = (30, 3) if plan.quick else (60, 6)
    signed_in = [each.learner for each in learners.sign_in(demo, number)]
    slugs = [slug for slug in learners.free_courses(signed_in[0], courses + len(taken)) if slug not in taken]
    pids = {name: demo.processes()[name] for name in ("learning", "postgres-core")}
    measured = []
    for learner in signed_in:
        before = {name: machine.cpu_seconds([pid]) for name, pid in pids.items()}
        for slug in slugs:
            learner.enrol_until_told(slug, patience=20)
        asyncio.run(_drained(demo))
        used = {name: 1000 * (machine.cpu_seconds([pid]) - before[name]) for name, pid in pids.items()}
        measured.append(Round(used["learning"] / len(slugs), used["postgres-core"] / len(slugs)))
    return measured[1:]  # the first time everything is used once


def _round(demo: site.Demo, process: "subprocess.Popen[str]", number: int) -> Round:
    server = demo.processes()["postgres-core"]
    before = machine.cpu_seconds([server])
    own = _enrol(process, number)
    asyncio.run(_drained(demo))
    return Round(1000 * own / number, 1000 * (machine.cpu_seconds([server]) - before) / number)


async def _drained(demo: site.Demo) -> None:
    database = postgres.database(demo.settings, "learning", size=1)
    end = time.monotonic() + DRAIN_SECONDS
    while await database.fetchval("SELECT EXISTS (SELECT FROM outbox)") and time.monotonic() < end:
        await asyncio.sleep(0.02)
    await database.close()


@contextlib.contextmanager
def _enrolling(demo: site.Demo, way: str, courses: Sequence[str]) -> Iterator["subprocess.Popen[str]"]:
    command = [servers.program("setpriv"), "--pdeathsig", "TERM", sys.executable, "-m", "bench.outbox_cost"]
    command += [str(demo.data), way, *courses]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=servers.ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def _enrol(process: "subprocess.Popen[str]", number: int) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    said = process.stdout.readline()
    if not said:
        raise RuntimeError("the process that enrols has ended")
    return float(json.loads(said))


async def enrol(data: str, way: str, courses: Sequence[str]) -> None:
    database = postgres.database(Settings.read({"BANYAN_DATA": data}), "learning", size=AT_ONCE)
    enrolments = Enrolments(database)
    waiting = _pairs(way, courses)

    async def some(those: Iterator[tuple[str, PersonId]], done: list[bool], number: int) -> None:
        for slug, person in those:
            if (await enrolments.enrol(slug=slug, person_id=person, now=datetime.now(UTC))).first:
                done.append(True)
            if len(done) >= number:
                return

    while line := await asyncio.to_thread(sys.stdin.readline):
        number = int(line)
        before = _cpu()
        done: list[bool] = []
        await asyncio.gather(*(some(waiting, done, number) for _ in range(AT_ONCE)))
        if len(done) < number:
            raise RuntimeError("everybody is enrolled in everything")
        print(_cpu() - before, flush=True)
    await database.close()


def _pairs(way: str, courses: Sequence[str]) -> Iterator[tuple[str, PersonId]]:
    """Each takes every other learner, so that both enrol whom the other does not."""
    first = people.FIRST_LEARNER + 200 + (way == WITH)  # behind those that other measurements take
    for number in range(first, LEARNERS, 2):
        for slug in courses:
            yield slug, PersonId(UUID(people.account_id(number)))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _nothing(*_: Any, **__: Any) -> UUID:
    return uuid7()


def main(data: str, way: str, *courses: str) -> None:
    with contextlib.redirect_stdout(sys.stderr):
        logs.configure("bench")
    with mock.patch.object(outbox, "add", _nothing) if way == WITHOUT else contextlib.nullcontext():
        asyncio.run(enrol(data, way, courses))


if __name__ == "__main__":
    main(*sys.argv[1:])
