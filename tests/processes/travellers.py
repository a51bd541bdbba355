"""People on the five journeys of the fault matrix: each does the same thing again and again, and notes how it went."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.journeys.front_door import FrontDoor
from tests.processes.people import Learner

PATIENCE = 20.0
_ENOUGH = 65536


@dataclass(frozen=True, slots=True)
class Step:
    """One thing done: when it began (monotonic), how long it took, what came back."""

    began: float
    seconds: float
    status: int
    said: str
    clear: bool

    @property
    def well(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Traveller:
    """`once` does the thing and returns status, headers and body; `leave` closes what it has kept open."""

    journey: str
    once: Callable[[], tuple[int, Mapping[str, str], bytes]]
    pause: float
    leave: Callable[[], None] = lambda: None
    steps: list[Step] = field(default_factory=list)

    def travel(self, over: threading.Event) -> None:
        while not over.is_set():
            began = time.monotonic()
            try:
                status, headers, body = self.once()
                said, clear = body[:300].decode("utf-8", "replace"), _is_clear(status, headers, body)
            except (OSError, http.client.HTTPException) as fault:
                status, said, clear = 0, repr(fault), False
            self.steps.append(Step(began, time.monotonic() - began, status, said, clear))
            over.wait(self.pause)
        self.leave()

    def since(self, moment: float) -> list[Step]:
        return [step for step in self.steps if step.began >= moment]


@dataclass
class Enrolling:
    """Learners who take one free course after the other, and whose every 201 is remembered."""

    learners: list[Learner]
    slugs: list[str]
    confirmed: list[str] = field(default_factory=list)
    _turn: Iterator[tuple[Learner, str]] | None = None
    _now: tuple[Learner, str] | None = None

    def once(self) -> tuple[int, Mapping[str, str], bytes]:
        self._turn = self._turn or iter(itertools.product(self.learners, self.slugs))
        self._now = self._now or next(self._turn)
        learner, slug = self._now
        answer = learner.exchange("POST", "/_banyan/api/v1/enrolments", {"course": slug})
        if answer[0] in (200, 201):  # 200: an earlier try was done after all, though its answer was lost
            self.confirmed.append(slug)
            self._now = None
        return answer


@contextmanager
def travelling(travellers: list[Traveller]) -> Iterator[Callable[[], None]]:
    """They travel until the block ends, or until what it is given is called."""
    over = threading.Event()
    threads = [threading.Thread(target=each.travel, args=(over,), daemon=True) for each in travellers]
    for thread in threads:
        thread.start()

    def rest() -> None:
        over.set()
        for thread in threads:
            thread.join(PATIENCE + 5)

    try:
        yield rest
    finally:
        rest()


def reader(door: FrontDoor, journey: str, *paths: str, pause: float, cookies: str = "") -> Traveller:
    """Reads pages in turn, by a browser that keeps its connection for some of them."""
    turn = itertools.count()
    connection = http.client.HTTPConnection(*door.address, timeout=PATIENCE)
    headers = {"accept": "text/html", **({"cookie": cookies} if cookies else {})}

    def once() -> tuple[int, Mapping[str, str], bytes]:
        number = next(turn)
        try:
            connection.request("GET", paths[number % len(paths)], headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        finally:
            if number % 4 == 0:
                connection.close()

    return Traveller(journey, once, pause, connection.close)


def watching(door: FrontDoor, slug: str) -> Callable[[], tuple[int, Mapping[str, str], bytes]]:
    """A stream of counts, until the first of them has come."""

    def once() -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection(*door.address, timeout=PATIENCE)
        try:
            connection.request("GET", f"/_banyan/api/v1/courses/{slug}/live", headers={"accept": "text/event-stream"})
            answer = connection.getresponse()
            if answer.status != 200:
                return answer.status, answer.headers, answer.read()
            seen = b""
            while b"event: learners" not in seen and len(seen) < _ENOUGH:
                line = answer.readline()
                if not line:
                    raise http.client.IncompleteRead(seen)
                seen += line
            return answer.status, answer.headers, seen
        finally:
            connection.close()

    return once


def _is_clear(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether somebody who gets this knows what is going on, and a program when to come again."""
    if status < 500:
        return 200 <= status < 300
    kind = headers.get("content-type") or ""
    readable = bool(body.strip()) and kind.startswith(("text/", "application/problem+json"))
    if kind.startswith("application/problem+json"):
        readable = readable and {"type", "title", "detail"} <= set(json.loads(body))
    return readable and (status == 500 or bool(headers.get("retry-after")))
