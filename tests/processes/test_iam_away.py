"""IAM dead for ten minutes, with time compressed: a minute of a session's life is a second here."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from tests.journeys.front_door import FrontDoor, banyan_up
from tests.processes.people import Learner

# Ten minutes away of a token's sixty, with five minutes between two questions: everything divided by sixty.
COMPRESSED = {"BANYAN_TOKEN_SECONDS": "60", "BANYAN_FRESH_SECONDS": "5", "BANYAN_RENEW_GRACE_SECONDS": "1"}
AWAY_SECONDS = 10


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--demo", environ=COMPRESSED) as door:
        yield door


@contextmanager
def killed_again_and_again(door: FrontDoor, name: str) -> Iterator[None]:
    """As soon as the supervisor has started it anew, it is dead again."""
    settings = Settings.read({"BANYAN_DATA": str(door.data)})
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.02):
            known = state.read_living(settings)
            pid = next((child.pid for child in known.processes if child.name == name), None) if known else None
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def test_with_iam_dead_only_signing_in_is_refused(door: FrontDoor) -> None:
    learner, visitor = Learner(door), Learner(door)
    refused: list[tuple[int, str]] = []
    form = {"email": "admin@banyan.test", "password": "banyan-demo"}
    assert learner.sign_in("learner@banyan.test") == 204
    course = visitor.call("GET", "/_banyan/api/v1/courses?price=free&limit=1")[1]["items"][0]["slug"]

    with killed_again_and_again(door, "iam"):
        time.sleep(0.5)
        until = time.monotonic() + AWAY_SECONDS
        while time.monotonic() < until:
            for path in ("/", "/courses", "/_banyan/api/v1/courses"):
                assert visitor.call("GET", path, accept="text/html")[0] == 200, path
            assert "로그아웃" in learner.call("GET", "/", accept="text/html")[1]
            assert learner.call("GET", "/me", accept="text/html")[0] == 200
            assert learner.enrol_until_told(course, patience=1) in (200, 201)
            refused.append(visitor.send_form("/login", form, **{"accept-language": "ko"}))

    assert refused
    for status, page in refused:
        assert status == 503
        assert "로그인" in page
        assert "Traceback" not in page
    deadline = time.monotonic() + 30
    while visitor.sign_in("admin@banyan.test") != 204:
        assert time.monotonic() < deadline, "iam does not come back"
        time.sleep(0.3)
    assert learner.call("GET", "/_banyan/api/v1/me")[0] == 200


def test_signing_out_ends_both_sides_at_once_and_a_kept_token_soon(door: FrontDoor) -> None:
    learner = Learner(door)
    assert learner.sign_in("instructor@banyan.test") == 204
    thief = Learner(door)
    thief.cookies = dict(learner.cookies)
    assert thief.call("GET", "/_banyan/api/v1/enrolments")[0] == 200

    assert learner.call("DELETE", "/_banyan/api/v1/session")[0] == 204

    assert learner.call("GET", "/_banyan/api/v1/enrolments")[0] == 401
    assert "로그아웃" not in learner.call("GET", "/", accept="text/html")[1]
    deadline = time.monotonic() + 5
    while thief.call("GET", "/_banyan/api/v1/enrolments")[0] != 401:
        assert time.monotonic() < deadline, "a stolen token outlives its session"
        time.sleep(0.1)
    assert "로그아웃" not in thief.call("GET", "/", accept="text/html")[1]
