"""A whole Banyan with people on every journey, to which one fault after the other happens."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from banyan.infra.faults.kinds import Ailment
from banyan.infra.settings import Settings
from banyan.infra.supervisor import control, state
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes import counting, travellers
from tests.processes.dependencies import Cell
from tests.processes.people import Learner
from tests.processes.travellers import Enrolling, Step, Traveller

FAULT_SECONDS = 1.5
RECOVERED_WITHIN = 60.0  # on a machine that is busy with other tests; how long it takes, `make bench` measures
LEARNERS = 5
COMPRESSED = {
    "BANYAN_BACKOFF_SECONDS": "0.5",
    "BANYAN_MEMORY_BYTES": "250000000",
    "BANYAN_RENEW_GRACE_SECONDS": "1",
}
# Long enough to reach the limit, and for the supervisor to look.
_LONGER = {Ailment.memory: 3.0, Ailment.crash: 0.0}
_SPEECHLESS = {("envoy", Ailment.crash)}


def ask(door: FrontDoor, wish: str, **details: Any) -> dict[str, Any]:
    """Of its supervisor."""
    return asyncio.run(control.ask(Settings.read({"BANYAN_DATA": str(door.data)}), wish, **details))


@dataclass
class Town:
    door: FrontDoor
    settings: Settings
    people: list[Traveller]
    enrolling: Enrolling
    before: dict[str, Any]
    rest: Callable[[], None] = lambda: None

    def suffer(self, cell: Cell) -> None:
        """Let a fault happen; nobody on a journey that does not need its part notices, and all is well soon."""
        begin, _ = self.strike(cell, seconds=_LONGER.get(cell.ailment, FAULT_SECONDS))
        for each in self.people:
            steps = each.since(begin)
            assert steps, f"nobody went on the journey {each.journey}"
            bad = [step for step in steps if not step.well]
            if not cell.may_be_felt_on(each.journey):
                assert not bad, (each.journey, _told(bad, begin))
            unclear = [step for step in bad if not step.clear and not excused(cell, each.journey, step)]
            assert not unclear, (each.journey, _told(unclear, begin))

    def strike(self, cell: Cell, *, seconds: float, patience: float = RECOVERED_WITHIN) -> tuple[float, float]:
        """When the fault began, and how long after its end everybody was well."""
        begin = time.monotonic()
        ask(self.door, "fault-add", process=cell.part, kind=cell.ailment, seconds=seconds)
        time.sleep(seconds)
        return begin, self._until_well(time.monotonic(), patience)

    def _until_well(self, over: float, patience: float) -> float:
        """Seconds from the end of the fault until each journey went well and every part is ready."""
        while True:
            known = state.read_living(self.settings)
            assert known is not None, "the supervisor is gone"
            away = [child.name for child in known.processes if child.state != "ready"]
            ill = [each.journey for each in self.people if not any(step.well for step in each.since(over))]
            lasting = ask(self.door, "fault-list")["items"]
            if not (away or ill or lasting):
                return time.monotonic() - over
            assert time.monotonic() - over < patience, (away, ill, lasting)
            time.sleep(0.05)

    def check_nothing_is_lost(self) -> None:
        """Every confirmed enrolment is there once, with one event, which everybody heard once."""
        self.rest()
        asyncio.run(counting.until_consumed(self.settings))
        after = asyncio.run(counting.counts(self.settings))
        heard = asyncio.run(counting.live_journal(self.settings))
        confirmed = Counter(self.enrolling.confirmed)
        assert confirmed
        for slug, number in confirmed.items():
            first = self.before[slug].learners + 1
            assert after[slug].rows == self.before[slug].rows + number, slug
            assert after[slug].told == list(range(first, first + number)), slug
            assert heard[slug] == after[slug].told, slug


@contextmanager
def town() -> Iterator[Town]:
    with banyan_up("--demo", environ=COMPRESSED) as door, populated(door, learners=LEARNERS) as town:
        yield town


@contextmanager
def populated(door: FrontDoor, *, learners: int) -> Iterator[Town]:
    """A running Banyan with people on every journey; there are 125 free courses for each of the learners."""
    settings = Settings.read({"BANYAN_DATA": str(door.data)})
    slugs = counting.free_courses(door)
    enrolling = Enrolling([_newcomer(door, number) for number in range(learners)], slugs)
    reader = Learner(door)
    assert reader.sign_in("learner@banyan.test") == 204
    cookies = "; ".join(f"{name}={value}" for name, value in reader.cookies.items())
    people = [
        travellers.reader(door, "old pages", "/", pause=0.03),
        travellers.reader(door, "new pages", "/courses", f"/courses/{quote(slugs[0])}", pause=0.05),
        travellers.reader(door, "signed-in pages", "/me", cookies=cookies, pause=0.05),
        Traveller("enrolling", enrolling.once, 0.15),
        Traveller("live", travellers.watching(door, quote(slugs[0])), 0.1),
    ]
    here = Town(door, settings, people, enrolling, asyncio.run(counting.counts(settings)))
    with travellers.travelling(people) as here.rest:
        yield here


def _newcomer(door: FrontDoor, number: int) -> Learner:
    learner = Learner(door)
    assert learner.sign_up(f"matrix-{number}@banyan.test", f"학습자 {number}") == 201
    return learner


def excused(cell: Cell, journey: str, step: Step) -> bool:
    """Whether nothing could be said: a killed front door cannot speak, and a stream is cut with its process."""
    return step.status == 0 and (
        (cell.part, cell.ailment) in _SPEECHLESS or (journey == "live" and cell.part == "live")
    )


def _told(steps: list[Step], begin: float) -> list[str]:
    return [f"{len(steps)} of them"] + [
        f"after {step.began - begin:.2f} s, took {step.seconds:.2f} s: {step.status} {step.said[:160]}"
        for step in steps[:3]
    ]
