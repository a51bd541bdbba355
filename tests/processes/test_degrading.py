"""Pages whose services hang: what does not need them comes at once, what can do without a part comes without it, and
the rest says so."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.matrix import ask
from tests.processes.people import Learner

AT_ONCE = 2.5
OPTIONAL = 5.0
PATIENCE = 9.0


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as door:
        yield door


@contextmanager
def hung(door: FrontDoor, part: str) -> Iterator[None]:
    ask(door, "fault-add", process=part, kind="hang", seconds=120)
    try:
        yield
    finally:
        ask(door, "fault-end")
        deadline = time.monotonic() + 30
        while Learner(door).sign_in("admin@banyan.test") != 204 or Learner(door).call("GET", "/courses")[0] != 200:
            assert time.monotonic() < deadline, f"{part} does not come back"


def timed(learner: Learner, path: str, form: dict[str, str] | None = None) -> tuple[int, Any, float]:
    begin = time.monotonic()
    headers = {"accept": "text/html", "accept-language": "en"}
    if form is None:
        status, page = learner.call("GET", path, **headers)
    else:
        status, page = learner.send_form(path, form, **headers)
    return status, page, time.monotonic() - begin


@pytest.mark.parametrize("part", ["iam", "postgres-front"])
def test_with_iam_hung_only_what_is_iams_is_missing(door: FrontDoor, part: str) -> None:
    learner, visitor = Learner(door), Learner(door)
    assert learner.sign_in("learner@banyan.test") == 204

    with hung(door, part):
        for path in ("/", "/courses", "/login", "/signup", "/reset"):
            status, _, seconds = timed(visitor, path)
            assert (status, seconds < AT_ONCE) == (200, True), (path, seconds)
        for path in ("/courses", "/me"):
            status, page, seconds = timed(learner, path)
            assert (status, seconds < AT_ONCE) == (200, True), (path, seconds)
            assert "Sign out" in page
        status, page, seconds = timed(learner, "/account")
        assert (status, seconds < OPTIONAL) == (200, True), seconds
        status, page, seconds = timed(learner, "/account", {"do": "name", "name": "이름"})
        assert (status, seconds < PATIENCE) == (503, True), seconds
        status, page, seconds = timed(visitor, "/login", {"email": "admin@banyan.test", "password": "banyan-demo"})
        assert (status, seconds < PATIENCE) == (503, True), seconds
        assert "Sign in" in page


def test_those_who_wait_for_a_hung_service_keep_no_other_page_from_anybody(door: FrontDoor) -> None:
    learner = Learner(door)
    assert learner.sign_in("learner@banyan.test") == 204

    with hung(door, "learning"), ThreadPoolExecutor(260) as crowd:
        waiting = [crowd.submit(timed, Learner(door), "/courses") for _ in range(260)]
        time.sleep(2)
        for path in ("/login", "/account"):
            status, _, seconds = timed(learner if path == "/account" else Learner(door), path)
            assert (status, seconds < OPTIONAL) == (200, True), (path, seconds)
        answers = [each.result() for each in waiting]

    assert {status for status, _, _ in answers} == {503}
    assert all("</html>" in page for _, page, _ in answers)
    assert all(seconds < 2 * PATIENCE for _, _, seconds in answers)


def test_with_live_hung_a_course_page_is_whole_but_for_its_count(door: FrontDoor) -> None:
    slug = Learner(door).call("GET", "/_banyan/api/v1/courses?limit=1")[1]["items"][0]["slug"]

    for part in ("live", "postgres-aside", "relay", "gateway", "monitor"):
        with hung(door, part):
            status, page, seconds = timed(Learner(door), f"/courses/{slug}")
            assert (status, seconds < AT_ONCE) == (200, True), (part, seconds)
            assert "<h1" in page
