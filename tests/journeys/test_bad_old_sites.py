"""The old site is away, silent or talks nonsense: visitors get a page of ours that says so, until it is well again."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from . import front_door
from .front_door import FrontDoor

pytestmark = pytest.mark.xdist_group("bad-old-sites")

TIMEOUT = {"BANYAN_LEGACY_TIMEOUT_SECONDS": "1", "BANYAN_LEGACY_CONNECT_TIMEOUT_SECONDS": "1"}
PATIENCE = 30.0
KOREAN = {"Accept": "text/html", "Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}
ENGLISH = {"Accept": "text/html", "Accept-Language": "en-GB,en;q=0.9"}
WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\nContent-Type: text/plain\r\n\r\nI am well now\n"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the old site ought to be, and Banyan before it."""

    port: int
    door: FrontDoor

    @asynccontextmanager
    async def held_by(self, talk: Talk) -> AsyncIterator[None]:
        """Somebody who talks like this stands there for a while."""
        talks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            talks.add(task)
            try:
                await talk(reader, writer)
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks)
            await server.wait_closed()


@dataclass(slots=True)
class Counted:
    """How often a request arrived."""

    requests: list[bytes] = field(default_factory=list)


@pytest.fixture(scope="module")
def spot() -> Iterator[Spot]:
    port = front_door.free_port()
    # Nobody is there yet: Banyan starts and is ready all the same.
    with front_door.banyan_up("--legacy", f"http://127.0.0.1:{port}", environ=TIMEOUT) as door:
        yield Spot(port, door)


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.test ESMTP\r\n\x00\xff\xfe not a page\r\n")
    await writer.drain()
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(65536):
        pass


async def half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-Half")
    await writer.drain()
    await silence(reader, writer)


async def half_a_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
    await writer.drain()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n")
    for _ in range(8):
        writer.write(b"line\n")
        await writer.drain()
        await asyncio.sleep(0.3)


async def echo_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 48\r\n\r\n" + await reader.readexactly(48))
    await writer.drain()


async def well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(WELL)
        await writer.drain()


BAD = [
    pytest.param(None, 502, id="nobody-there"),
    pytest.param(nonsense, 502, id="no-http"),
    pytest.param(hang_up, 502, id="hangs-up"),
    pytest.param(silence, 504, id="silent"),
    pytest.param(half_a_head, 504, id="stops-in-its-headers"),
]
TITLES = {
    (502, "ko"): "사이트에 연결할 수 없어요",
    (502, "en"): "The site cannot be reached",
    (504, "ko"): "응답이 너무 오래 걸려요",
    (504, "en"): "The answer took too long",
}


@pytest.mark.parametrize(("talk", "status"), BAD)
async def test_a_bad_old_site_gives_a_page_in_the_readers_language(spot: Spot, talk: Talk | None, status: int) -> None:
    async with _held(spot, talk), httpx.AsyncClient(base_url=spot.door.url, timeout=PATIENCE) as client:
        for language, headers in (("ko", KOREAN), ("en", ENGLISH)):
            started = time.monotonic()
            answer = await client.get("/some/page", headers=headers)
            seconds = time.monotonic() - started

            assert (answer.status_code, answer.headers["x-banyan-side"]) == (status, "gateway")
            assert seconds < 6
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert f'<html lang="{language}">' in answer.text
            assert _heading(answer.text) == TITLES[status, language]
            assert f">{answer.headers['x-request-id']}<" in answer.text


@pytest.mark.parametrize(("talk", "status"), BAD)
async def test_a_program_gets_a_problem_document(spot: Spot, talk: Talk | None, status: int) -> None:
    async with _held(spot, talk), httpx.AsyncClient(base_url=spot.door.url, timeout=PATIENCE) as client:
        answer = await client.get("/some/data", headers={"Accept": "application/json"})

    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"]) == (status, status)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]


@pytest.mark.parametrize(("talk", "status"), BAD)
async def test_the_old_site_is_back_as_soon_as_it_is_well(spot: Spot, talk: Talk | None, status: int) -> None:
    async with httpx.AsyncClient(base_url=spot.door.url, timeout=PATIENCE) as client:
        async with _held(spot, talk):
            # More often than a healthy site would ever fail, so that anything that shuts it out does so now.
            failed = await asyncio.gather(*(client.get("/", headers=ENGLISH) for _ in range(12)))
        assert {answer.status_code for answer in failed} == {status}

        async with spot.held_by(well):
            answers = [await client.get("/") for _ in range(12)]
        assert {(answer.status_code, answer.text) for answer in answers} == {(200, "I am well now\n")}
        assert {answer.headers["x-banyan-side"] for answer in answers} == {"old"}


async def test_what_a_silent_old_site_was_sent_is_not_sent_again(spot: Spot) -> None:
    counted = Counted()

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counted.requests.append(await reader.readuntil(b"\r\n\r\n"))
        await silence(reader, writer)

    async with spot.held_by(count), httpx.AsyncClient(base_url=spot.door.url, timeout=PATIENCE) as client:
        answer = await client.post("/orders", data={"course": "1"}, headers=KOREAN)

    assert answer.status_code == 504
    assert [request.split(b"\r\n")[0] for request in counted.requests] == [b"POST /orders HTTP/1.1"]


async def test_half_a_page_is_not_passed_off_as_a_whole_one(spot: Spot) -> None:
    async with spot.held_by(half_a_page), httpx.AsyncClient(base_url=spot.door.url, timeout=PATIENCE) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/", headers=ENGLISH)


async def test_a_page_that_trickles_longer_than_the_limit_arrives_whole(spot: Spot) -> None:
    async with spot.held_by(trickle), httpx.AsyncClient(base_url=spot.door.url, timeout=PATIENCE) as client:
        answer = await client.get("/report", headers=ENGLISH)

    assert (answer.status_code, answer.text) == (200, "line\n" * 8)


async def test_an_upload_that_takes_longer_than_the_limit_arrives_whole(spot: Spot) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"piece\n"
            await asyncio.sleep(0.3)

    async with spot.held_by(echo_body), httpx.AsyncClient(base_url=spot.door.url, timeout=PATIENCE) as client:
        answer = await client.post("/upload", content=slowly(), headers={"Content-Length": "48"})

    assert (answer.status_code, answer.text) == (200, "piece\n" * 8)


async def test_banyan_itself_is_well_while_the_old_site_is_not(spot: Spot) -> None:
    async with spot.held_by(silence), httpx.AsyncClient(base_url=spot.door.url, timeout=PATIENCE) as client:
        stuck = asyncio.create_task(client.get("/"))
        health = await client.get("/_banyan/health")
        assert health.status_code == 200
        assert (await stuck).status_code == 504


def test_a_host_name_that_nobody_knows_is_a_site_that_cannot_be_reached() -> None:
    with front_door.banyan_up("--legacy", "http://no-such-site.invalid", environ=TIMEOUT) as door:
        answer = httpx.get(door.url, headers=KOREAN)

    assert 502 <= answer.status_code <= 503
    assert answer.headers["x-banyan-side"] == "gateway"
    assert '<html lang="ko">' in answer.text


@asynccontextmanager
async def _held(spot: Spot, talk: Talk | None) -> AsyncIterator[None]:
    if talk is None:
        yield
        return
    async with spot.held_by(talk):
        yield


def _heading(page: str) -> str:
    found = re.search("<h1>(.*?)</h1>", page)
    assert found is not None, page
    return found.group(1)
