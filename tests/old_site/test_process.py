"""The old site as the process that the supervisor runs."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from banyan.infra.http_client import HttpClient
from banyan.infra.settings import Settings


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
    mine = ask(settings, "/mypage", "X-Banyan-User: learner@banyan.test")
    asked = time.monotonic()
    process.terminate()

    assert process.wait(timeout=5) == 0
    assert time.monotonic() - asked < 1
    assert courses[0].title in page
    assert "Location: https://shop.test/login?url=/mypage" in moved
    assert "김하늘" in mine


def test_a_request_that_takes_long_does_not_keep_it_from_ending(settings, start):
    process = start()
    wait_until_ready(settings)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(settings.socket("old-site")))
        client.sendall(b"GET /ranking HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.2)
        asked = time.monotonic()
        process.terminate()

        assert process.wait(timeout=5) == 0
        assert time.monotonic() - asked < 1.1


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


async def test_a_slow_page_does_not_hold_up_the_others(settings, start):
    start()
    await asyncio.to_thread(wait_until_ready, settings)
    client = HttpClient(settings.socket("old-site"), "old-site", timeout=10)
    try:
        slow = asyncio.create_task(asyncio.to_thread(ask, settings, "/ranking"))
        await asyncio.sleep(0.1)
        asked = time.monotonic()
        await asyncio.to_thread(ask, settings, "/faq")
        quick = time.monotonic() - asked

        assert "인기강의" in await slow
        assert quick < 0.8
    finally:
        await client.close()
