"""More requests than one process can do: those in work are answered quickly, the others are told so at once."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from banyan.infra import http
from banyan.infra.settings import Settings
from banyan.infra.shedding import Seats

SEATS = 20
READ_SEATS = SEATS - SEATS // 10
WORK_SECONDS = 0.1
WAIT_SECONDS = 0.3


@asynccontextmanager
async def service(folder: Path, **environ: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A service whose handlers take a tenth of a second, or until they are let go, and a client with as many
    connections as it likes."""
    router = APIRouter()
    over = asyncio.Event()
    let_go = asyncio.Event()

    @router.get("/api/hold")
    async def hold() -> str:
        await let_go.wait()
        return "held"

    @router.post("/api/hold-no-more")
    async def hold_no_more() -> str:
        let_go.set()
        return "let go"

    @router.get("/api/look")
    async def look() -> str:
        await asyncio.sleep(WORK_SECONDS)
        return "seen"

    @router.post("/api/write")
    async def write() -> str:
        await asyncio.sleep(WORK_SECONDS)
        return "written"

    @router.get("/api/stream")
    async def stream() -> StreamingResponse:
        async def until_over() -> AsyncIterator[bytes]:
            yield b": hello\n\n"
            await over.wait()

        return StreamingResponse(until_over(), media_type=http.EVENT_STREAM)

    told = {"BANYAN_IN_FLIGHT": str(SEATS), "BANYAN_IN_FLIGHT_WAIT_SECONDS": str(WAIT_SECONDS), **environ}
    settings = Settings.read({"BANYAN_DATA": str(folder), **told})
    listener = http.listening_socket(folder / "s.sock")
    stop = asyncio.Event()
    app = http.application("test", [router], settings=settings)
    serving = asyncio.create_task(http.serve(app, listener, stop=stop))
    connector = aiohttp.UnixConnector(path=str(folder / "s.sock"), limit=0)
    try:
        async with aiohttp.ClientSession("http://test", connector=connector) as client:
            yield client
    finally:
        let_go.set()
        over.set()
        stop.set()
        await serving
        listener.close()


async def asked(client: aiohttp.ClientSession, path: str, method: str = "GET") -> tuple[int, float, str, str]:
    """Status, seconds, Retry-After and body."""
    begin = time.monotonic()
    async with client.request(method, path) as answer:
        body = await answer.text()
        return answer.status, time.monotonic() - begin, answer.headers.get("retry-after", ""), body


async def figures(client: aiohttp.ClientSession) -> dict[str, int]:
    async with client.get("/figures") as answer:
        told: dict[str, int] = await answer.json(content_type=None)
        return told


async def reads_that_hold_their_seats(client: aiohttp.ClientSession) -> list[asyncio.Task[tuple[int, float, str, str]]]:
    flood = [asyncio.create_task(asked(client, "/api/hold")) for _ in range(100)]
    async with asyncio.timeout(20):
        while (await figures(client))["in_flight"] < READ_SEATS:
            await asyncio.sleep(0.01)
    return flood


async def test_a_flood_is_answered_quickly_or_refused_clearly_and_takes_no_memory(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        await asked(client, "/api/look")
        shed_before = (await figures(client))["shed"]
        memory_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        answers = await asyncio.gather(*(asked(client, "/api/look") for _ in range(600)))

        statuses = Counter(status for status, *_ in answers)
        assert set(statuses) == {200, 503}
        assert statuses[200] >= READ_SEATS
        # In its own clock: the test's own 600 clients share one loop with the service.
        assert all(seconds < WAIT_SECONDS + WORK_SECONDS + 10 for _, seconds, *_ in answers)
        assert {retry for status, _, retry, _ in answers if status == 503} == {"1"}
        assert all("too-busy" in body for status, _, _, body in answers if status == 503)
        assert (await figures(client))["shed"] - shed_before == statuses[503]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_before < 60_000  # kB, clients included
        again = await asyncio.gather(*(asked(client, "/api/look") for _ in range(SEATS // 2)))
        assert [status for status, *_ in again] == [200] * (SEATS // 2)


async def test_a_write_finds_a_seat_when_reads_have_taken_theirs(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        flood = await reads_that_hold_their_seats(client)

        status, *_ = await asked(client, "/api/write", "POST")

        assert status == 200
        await asked(client, "/api/hold-no-more", "POST")
        assert {status for status, *_ in await asyncio.gather(*flood)} == {200, 503}


async def test_open_streams_take_no_seats(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        streams = await asyncio.gather(*(client.get("/api/stream") for _ in range(SEATS + SEATS // 2)))
        try:
            assert {stream.status for stream in streams} == {200}
            assert (await asked(client, "/api/look"))[0] == 200
        finally:
            for stream in streams:
                stream.close()


async def test_a_busy_process_still_speaks_about_itself(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        flood = await reads_that_hold_their_seats(client)

        assert (await asked(client, "/ready"))[0] == 204
        assert (await figures(client))["in_flight"] == READ_SEATS
        await asked(client, "/api/hold-no-more", "POST")
        await asyncio.gather(*flood)


async def test_who_waits_is_seated_as_soon_as_somebody_leaves() -> None:
    seats = Seats(1, patience=5)
    assert await seats.take(write=False)
    waiting = asyncio.create_task(seats.take(write=False))
    await asyncio.sleep(0)

    seats.give_back()

    assert await waiting
    seats.give_back()
    assert await seats.take(write=True)


async def test_who_went_away_while_waiting_keeps_no_seat() -> None:
    seats = Seats(1, patience=5)
    assert await seats.take(write=True)
    waiting = asyncio.create_task(seats.take(write=True))
    await asyncio.sleep(0)

    seats.give_back()  # handed to the one who waits, who goes in the same moment
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await seats.take(write=True)
