"""Learners of the demo who have signed in, and what their browsers send."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from banyan.demo import people
from bench import load, site
from tests.journeys.front_door import FrontDoor
from tests.processes.people import PASSWORD, Learner

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A learner's browser: `headers` are those of each request it makes."""

    learner: Learner
    headers: tuple[str, ...]

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.learner.cookies.items())

    def lesson_of(self, slug: str) -> str:
        """Enrol; the id of the course's first lesson."""
        self.learner.enrol_until_told(slug, patience=20)
        status, course = self.learner.call("GET", f"/_banyan/api/v1/courses/{quote(slug)}")
        if status != 200:
            raise RuntimeError(f"the course {slug} answers {status}: {course}")
        return str(course["sections"][0]["lessons"][0]["id"])


def sign_in(demo: site.Demo, number: int) -> list[SignedIn]:
    """So many learners, each signed in twice: the first time also replaces the hash that the demo was seeded with."""
    door = FrontDoor(demo.url, demo.data)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda email: _signed_in(door, email), emails(number)))


def emails(number: int) -> list[str]:
    first = people.FIRST_LEARNER
    return [people.person(each).email for each in range(first, first + number)]


def free_courses(door: Learner, number: int) -> list[str]:
    status, found = door.call("GET", f"/_banyan/api/v1/courses?price=free&limit={number}")
    if status != 200:
        raise RuntimeError(f"the course list answers {status}: {found}")
    return [course["slug"] for course in found["items"]]


def bodies(file: Path, number: int) -> Path:
    """A file of sign-ins, one a line."""
    lines = [json.dumps({"email": email, "password": PASSWORD}) for email in emails(number)]
    file.write_text("\n".join(lines))
    return file


def lua(file: Path, requests: Sequence[str], *, before: str = "") -> Path:
    """A script for wrk that makes these requests (Lua expressions) in turn; `n` is the number of this one."""
    made = ",\n".join(f"  function(n) return {request} end" for request in requests)
    file.write_text(
        f"{before}\nlocal n = 0\nlocal makers = {{\n{made}\n}}\n"
        "function request() n = n + 1; return makers[(n - 1) % #makers + 1](n) end\n"
    )
    return file


def _signed_in(door: FrontDoor, email: str) -> SignedIn:
    for _ in range(2):
        learner = Learner(door)
        status = learner.sign_in(email)
        if status != 204:
            raise RuntimeError(f"{email} cannot sign in: {status}")
    cookies = "; ".join(f"{name}={value}" for name, value in learner.cookies.items())
    headers = tuple(header for header in load.BROWSER if not header.startswith("Cookie:"))
    return SignedIn(learner, (*headers, f"Cookie: {cookies}"))
