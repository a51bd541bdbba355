"""`/_banyan/health` from what the supervisor wrote."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace

import httpx
import pytest

from banyan.contracts.monitor import Disk, Lag
from banyan.gateway.http import health
from banyan.infra import http
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.infra.telemetry.figures import LEDGER
from tests.gateway import monitors
from tests.gateway.conftest import children, supervise

HEALTH = "/_banyan/health"


@pytest.fixture
async def browser(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """No database stands behind health, nor here."""
    app = http.application("gateway", [health.router(settings)], settings=settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
        yield client


def failures_of_ours() -> int:
    """What the gateway says of itself: that another is ill is not its failure."""
    return LEDGER.request("GET", HEALTH, 503).failed


async def test_without_a_supervisor_each_process_is_asked_twice_a_second_at_most(
    browser: httpx.AsyncClient, settings: Settings
) -> None:
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(answer, settings.socket("web")):
        answers = await asyncio.gather(*(browser.get(HEALTH) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert asked == 1


async def test_it_is_200_when_every_process_is_ready(browser: httpx.AsyncClient, settings: Settings) -> None:
    supervise(settings, children(postgres_front="ready", web="ready", envoy="ready"))

    answer = await browser.get(HEALTH)

    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["processes"]) == ("ready", ["postgres-front", "web", "envoy"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("found", ["starting", "backoff", "failing", "stopping", "stopped"])
async def test_it_is_503_and_names_what_is_not_ready(
    browser: httpx.AsyncClient, settings: Settings, found: str
) -> None:
    supervise(settings, children(postgres_front="ready", web=found, learning="ready", envoy=found))

    failed = failures_of_ours()
    answer = await browser.get(HEALTH)

    assert answer.status_code == 503
    assert failures_of_ours() == failed
    told = answer.json()
    assert (told["status"], told["waiting_for"]) == ("degraded", ["web", "envoy"])
    assert told["details"]["processes"]["web"]["state"] == found
    assert answer.headers["retry-after"] == "1"


async def test_a_first_start_that_is_not_over_is_503(browser: httpx.AsyncClient, settings: Settings) -> None:
    supervise(settings, children(postgres_front="ready"), ready=False)

    answer = await browser.get(HEALTH)

    assert answer.status_code == 503
    assert answer.json()["status"] == "starting"


async def test_a_dead_supervisor_is_503_whatever_it_wrote(browser: httpx.AsyncClient, settings: Settings) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    supervise(settings, children(web="ready"), pid=ended.pid)

    answer = await browser.get(HEALTH)

    assert answer.status_code == 503
    assert answer.json()["waiting_for"] == ["supervisor"]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b'{"pid": "x"}'])
async def test_no_state_or_a_broken_one_is_503(
    browser: httpx.AsyncClient, settings: Settings, content: bytes | None
) -> None:
    if content is not None:
        state.path(settings).write_bytes(content)

    assert (await browser.get(HEALTH)).status_code == 503


async def test_the_details_say_since_when_and_how_often_each_was_started_again(
    browser: httpx.AsyncClient, settings: Settings
) -> None:
    (web,) = children(web="ready")
    supervise(settings, [replace(web, restarts=3, version="1.2")])

    details = (await browser.get(HEALTH)).json()["details"]

    assert details == {
        "processes": {
            "web": {
                "state": "ready",
                "since": web.since.isoformat().replace("+00:00", "Z"),
                "restarts": 3,
                "version": "1.2",
            }
        }
    }


async def test_what_monitor_knows_stands_beside_it(browser: httpx.AsyncClient, settings: Settings) -> None:
    supervise(settings, children(learning="ready"))
    lag = Lag("relay", "learning", waiting=4, oldest_seconds=1.5, handled_per_second=0)
    known = monitors.quiet("learning")
    known.now = replace(known.now, lags=[lag], disk=Disk("/somewhere", 10, 4))
    async with monitors.answering(settings, known):
        answer = await browser.get(HEALTH)

    details = answer.json()["details"]
    assert details["queues"] == [{"consumer": "relay", "from": "learning", "waiting": 4, "oldest_seconds": 1.5}]
    assert details["disk"] == {"total_bytes": 10, "free_bytes": 4}
    assert "somewhere" not in answer.text


async def test_it_answers_quickly_when_monitor_hangs(browser: httpx.AsyncClient, settings: Settings) -> None:
    supervise(settings, children(web="ready"))
    with closing(http.listening_socket(settings.socket("monitor"))):
        began = time.monotonic()
        answer = await browser.get(HEALTH)

    assert answer.status_code == 200
    assert time.monotonic() - began < 2


async def test_who_wants_it_brief_gets_no_details(settings: Settings) -> None:
    brief = replace(settings, health="brief")
    supervise(brief, children(web="ready"))
    app = http.application("gateway", [health.router(brief)], settings=brief)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000") as browser:
        answer = await browser.get(HEALTH)

    assert answer.json() == {"status": "ready", "processes": ["web"]}


async def test_it_says_nothing_that_is_not_for_everybody(browser: httpx.AsyncClient, settings: Settings) -> None:
    supervise(settings, children(web="failing"))

    answer = await browser.get(HEALTH, headers={"x-forwarded-for": "203.0.113.9", "host": "shop.example.com"})

    assert answer.status_code == 503
    assert str(settings.data) not in answer.text
    assert "pid" not in answer.text
