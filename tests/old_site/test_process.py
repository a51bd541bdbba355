"""The old site as the process that the supervisor runs."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from banyan.demo import catalogue
from banyan.infra.settings import Settings

AT_ONCE = 3.0
IN_TIME = 12.0  # it finishes what it has begun for five seconds, on a machine that others use
"""Seconds; alone on the machine it takes 0.1 when idle and 0.7 with requests in flight."""


@pytest.fixture
def settings():
    folder = Path(tempfile.mkdtemp(prefix="by-", dir="/tmp"))
    yield Settings(data=folder)
    shutil.rmtree(folder)


@pytest.fixture
def start(settings):
    started = []

    def start(**more):
        environ = {"PATH": os.environ["PATH"], "BANYAN_DATA": str(settings.data), "BANYAN_DEMO": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "banyan.processes.run", "old-site"], env=environ, stdout=subprocess.DEVNULL, **more
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def ask(settings, path, *headers):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(settings.socket("old-site")))
        head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", ""])
        client.sendall(head.encode())
        answer = b""
        while part := client.recv(65536):
            answer += part
    return answer.decode()


def wait_until_ready(settings):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if ask(settings, "/ready").startswith("HTTP/1.1 204"):
                return
        time.sleep(0.02)
    pytest.fail("The old site did not become ready.")


def test_it_serves_on_its_socket_and_ends_at_once(settings, start, courses):
    process = start()
    wait_until_ready(settings)

    page = ask(settings, f"/courses/{quote(courses[0].slug)}")
    moved = ask(settings, "/mypage", "X-Forwarded-Host: shop.test", "X-Forwarded-Proto: https")
    mine = ask(settings, "/mypage", f"X-Banyan-User: {catalogue.account_id(1)}")
    asked = time.monotonic()
    process.terminate()

    assert process.wait(timeout=5) == 0
    assert time.monotonic() - asked < AT_ONCE
    assert courses[0].title in page
    assert "Location: https://shop.test/login?url=/mypage" in moved
    assert "김하늘" in mine


def test_requests_that_take_long_do_not_keep_it_from_ending(settings, start):
    process = start()
    wait_until_ready(settings)
    with contextlib.ExitStack() as clients:
        for _ in range(5 * 8):  # six seconds of work for its eight threads
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(settings.socket("old-site")))
            client.sendall(b"GET /ranking HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        asked = time.monotonic()
        process.terminate()

        assert process.wait(timeout=30) == 0
        assert time.monotonic() - asked < IN_TIME


def test_a_kill_while_it_fills_its_database_leaves_nothing_half_done(settings, start):
    database = settings.data / "old-site" / "old.sqlite"
    process = start()
    while not list(settings.data.glob("old-site/old.sqlite.tmp*")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not database.exists()

    start()
    wait_until_ready(settings)

    assert '총 <b><font color="red">300</font></b>개' in ask(settings, "/courses")
    assert not list(settings.data.glob("old-site/*.tmp*"))


def test_what_visitors_wrote_outlives_a_kill(settings, start):
    process = start()
    wait_until_ready(settings)
    first = int(ask(settings, "/api/hit?id=1").split("\r\n\r\n")[1])
    process.kill()
    process.wait()

    start()
    wait_until_ready(settings)

    assert int(ask(settings, "/api/hit?id=1").split("\r\n\r\n")[1]) == first + 1


def test_a_slow_page_does_not_hold_up_the_others(settings, start):
    start()
    wait_until_ready(settings)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(ask, settings, "/ranking")
        time.sleep(0.1)

        quick = ask(settings, "/faq")

        assert not slow.done()
        assert "자주 묻는 질문" in quick
        assert "인기강의" in slow.result()
