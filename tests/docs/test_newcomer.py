"""README's commands, word for word, by somebody who has never been here: an account, a home and a clone of their own.

`make test` would run the whole suite a second time inside itself, so ARGS narrows it to a few files.
"""

import os
import re
import signal
import socket
import subprocess

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.docs.newcomers import Newcomer, newcomer, wait_until
from tests.journeys.front_door import free_port

README = [block.code for block in blocks(ROOT / "README.md")]
READY = re.compile(r"Banyan is ready at (http://127\.0\.0\.1:(\d+))")
INSTALL_SECONDS = 400.0


def test_the_readme_shows_what_this_test_types() -> None:
    assert README[:2] == ["make up", "make test"]
    assert "banyan route set courses --side old" in README[2]


@pytest.mark.timeout(900)
def test_a_newcomer_does_what_the_readme_says() -> None:
    with newcomer() as someone:
        taken = port_is_taken(8000)
        up = README[0] + (f' ARGS="--port {free_port()}"' if taken else "")
        log = someone.home / "up.log"
        running = someone.start(up, log)
        try:
            wait_until(
                lambda: bool(READY.search(log.read_text(errors="replace"))) or running.poll() is not None,
                seconds=INSTALL_SECONDS,
            )
            ready = READY.search(log.read_text(errors="replace"))
            assert ready, log.read_text(errors="replace")[-5000:]
            assert taken or ready[2] == "8000"
            first_five_minutes(someone, ready[1])
        finally:
            interrupt(running)

        assert "Stopping ..." in log.read_text()
        assert someone.processes() == {}
        said = someone.run(README[1] + ' ARGS="tests/demo tests/infra/test_embedded.py"', seconds=400)
        assert re.search(r"\d+ passed", said), said[-2000:]
        assert "failed" not in said


def first_five_minutes(someone: Newcomer, url: str) -> None:
    someone.run(README[2], seconds=400)
    sides = {path: someone.run(f"curl -s -o /dev/null -D - {url}{path}", seconds=60) for path in ("/", "/courses")}
    assert "x-banyan-side: old" in sides["/"]
    assert "x-banyan-side: new" in sides["/courses"]


def interrupt(running: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C, which a terminal sends to everything in its foreground."""
    os.killpg(running.pid, signal.SIGINT)
    try:
        running.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        raise


def port_is_taken(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
