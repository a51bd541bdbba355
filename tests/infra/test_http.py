"""The edge every service shares: problem documents, bounded bodies, readiness; and the client that calls it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import APIRouter, Request
from structlog.testing import capture_logs

from banyan.infra import http
from banyan.infra.http_client import HttpClient, ServiceAway, ServiceRefused
from banyan.infra.settings import Settings
from banyan.kit.errors import Conflict, Unavailable


class SeatTaken(Conflict):
    """Somebody sits there already."""


class NotYet(Unavailable):
    """The kettle is cold."""


@dataclass
class Answer:
    text: str


async def cold() -> None:
    raise NotYet


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[HttpClient]:
    router = APIRouter()

    @router.get("/api/fine")
    async def fine(number: int) -> Answer:
        return Answer(f"하나 {number}")

    @router.get("/api/taken")
    async def taken() -> None:
        raise SeatTaken

    @router.get("/api/broken")
    async def broken() -> None:
        raise ValueError("secret detail")

    @router.get("/api/open/{token}")
    async def by_token(token: str) -> None:
        raise ValueError("no door")

    @router.post("/api/read")
    async def read(request: Request) -> Answer:
        return Answer(str(len(await request.body())))

    settings = Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_MAX_BODY_BYTES": "1000"})
    app = http.application("test", [router], settings=settings, checks=[cold])
    listener = http.listening_socket(tmp_path / "s.sock")
    stop = asyncio.Event()
    serving = asyncio.create_task(http.serve(app, listener, stop=stop))
    client = HttpClient(tmp_path / "s.sock", "test")
    yield client
    await client.close()
    stop.set()
    await serving


async def test_an_answer_comes_back_as_its_type(service: HttpClient) -> None:
    assert await service.get("/api/fine", Answer, params={"number": "3"}) == Answer("하나 3")


async def test_a_refusal_keeps_its_name_status_and_words(service: HttpClient) -> None:
    with pytest.raises(ServiceRefused) as refusal:
        await service.get("/api/taken", Answer)

    assert (refusal.value.status, refusal.value.slug) == (409, "seat-taken")
    assert refusal.value.detail == "Somebody sits there already."


async def test_invalid_parameters_are_named(service: HttpClient) -> None:
    with pytest.raises(ServiceRefused, match=r"query\.number") as refusal:
        await service.get("/api/fine", Answer, params={"number": "three"})

    assert refusal.value.status == 422


async def test_a_fault_of_ours_tells_nothing_of_itself(service: HttpClient, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServiceAway) as fault:
        await service.get("/api/broken", Answer)

    assert "secret" not in str(fault.value)


async def test_a_token_in_a_path_is_not_written_down(service: HttpClient) -> None:
    with capture_logs() as lines, pytest.raises(ServiceAway):
        await service.get("/api/open/%EB%AC%B8-s3same", Answer)

    assert {(line["event"], line["path"]) for line in lines} == {
        ("request failed", "/api/open/(secret)"),
    }


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused(service: HttpClient, tmp_path: Path, chunked: bool) -> None:
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s.sock"))
    writer.write(b"POST /api/read HTTP/1.1\r\nhost: x\r\nconnection: close\r\n")
    if chunked:
        writer.write(b"transfer-encoding: chunked\r\n\r\n" + b"190\r\n" + b"a" * 400 + b"\r\n")
        writer.write(b"320\r\n" + b"a" * 800 + b"\r\n0\r\n\r\n")
    else:
        writer.write(b"content-length: 1001\r\n\r\n" + b"a" * 1001)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"At most 1000 bytes" in answer


async def test_a_process_that_is_not_ready_says_why(service: HttpClient, tmp_path: Path) -> None:
    from banyan.infra.supervisor import probe

    with pytest.raises(probe.NotReady, match="The kettle is cold"):
        await probe.http_ready(tmp_path / "s.sock", "/ready")


async def test_why_it_is_not_ready_is_read_even_if_it_comes_in_pieces(tmp_path: Path) -> None:
    from banyan.infra.supervisor import probe

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (b"HTTP/1.1 503 x\r\n", b"connection: close\r\n\r\n", b'{"detail": "The kettle', b' is cold."}'):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "s.sock"):
        with pytest.raises(probe.NotReady, match="The kettle is cold"):
            await probe.http_ready(tmp_path / "s.sock", "/ready")


async def test_nobody_but_the_owner_may_connect(service: HttpClient, tmp_path: Path) -> None:
    assert (tmp_path / "s.sock").stat().st_mode & 0o077 == 0
