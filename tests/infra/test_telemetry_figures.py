"""Every process says what it has done and how long that took, to whoever stands at its own socket."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import msgspec
import pytest
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families

from banyan.contracts.monitor import Figures, Tally
from banyan.infra import edge, http
from banyan.infra.http_client import HttpClient, ServiceAway, ServiceRefused
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.infra.telemetry import figures
from banyan.infra.telemetry.figures import Ledger


@pytest.fixture
def ledger() -> Ledger:
    """This process's own, which other tests of the run have written in, too: look at what is added."""
    return figures.LEDGER


@pytest.fixture
async def socket(tmp_path: Path) -> AsyncIterator[Path]:
    router = APIRouter()

    @router.get("/telemetry/{course}/slow")
    async def slow(course: str) -> Response:
        await asyncio.sleep(0.05)
        return Response(course)

    @router.get("/telemetry/broken")
    async def broken() -> None:
        raise ValueError("secret detail")

    @router.get("/telemetry/of-another")
    async def of_another(request: Request) -> Response:
        request.scope[edge.ELSEWHERE] = True
        return Response("another is ill", 503)

    @router.get("/telemetry/stream")
    async def stream() -> Response:
        async def lines() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.sleep(30)

        return StreamingResponse(lines(), media_type="text/event-stream")

    app = http.application("telling", [router], settings=Settings.read({"BANYAN_DATA": str(tmp_path)}))
    path = tmp_path / "s.sock"
    stop = asyncio.Event()
    serving = asyncio.create_task(http.serve(app, http.listening_socket(path), stop=stop))
    yield path
    stop.set()
    await serving


async def get(socket: Path, path: str, **headers: str) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get(f"http://telling{path}", headers=headers) as answer,
    ):
        return answer.status, await answer.read()


async def figures_of(socket: Path) -> Figures:
    return msgspec.json.decode((await get(socket, "/figures"))[1], type=Figures)


def added(before: Tally | None, after: Tally | None, place: Callable[[Tally], int]) -> int:
    assert after is not None
    return place(after) - (place(before) if before is not None else 0)


async def test_requests_are_counted_with_the_time_they_took_and_failed_ones_apart(socket: Path) -> None:
    before = await figures_of(socket)
    for path in ("/telemetry/a/slow", "/telemetry/b/slow", "/telemetry/broken", "/telemetry/nothing-here"):
        await get(socket, path)
    after = await figures_of(socket)
    assert (after.process, after.in_flight) == ("telling", before.in_flight)
    assert added(before.requests, after.requests, lambda tally: tally.total) == 4
    assert added(before.requests, after.requests, lambda tally: tally.failed) == 1
    assert after.requests is not None
    place = next(i for i, bound in enumerate(after.requests.took.bounds_ms) if bound >= 50)
    assert added(before.requests, after.requests, lambda tally: sum(tally.took.counts[place:])) >= 2


async def test_who_tells_of_another_that_is_ill_has_not_failed(socket: Path) -> None:
    before = await figures_of(socket)
    assert (await get(socket, "/telemetry/of-another"))[0] == 503
    after = await figures_of(socket)
    assert added(before.requests, after.requests, lambda tally: tally.total) == 1
    assert added(before.requests, after.requests, lambda tally: tally.failed) == 0


async def test_a_process_never_counts_who_asks_it_about_itself(socket: Path) -> None:
    before = await figures_of(socket)
    for path in ("/ready", "/figures", "/metrics"):
        await get(socket, path)
    after = await figures_of(socket)
    assert added(before.requests, after.requests, lambda tally: tally.total) == 0


async def test_metrics_name_the_template_of_a_route_and_never_a_path(socket: Path) -> None:
    await get(socket, "/telemetry/my-secret-course/slow")
    await get(socket, "/telemetry/a-path-of-nobody")
    _, text = await get(socket, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    routes = {sample.labels["route"] for sample in families["banyan_http_request_seconds"].samples}
    assert {"/telemetry/{course}/slow", "(none)"} <= routes
    assert b"my-secret-course" not in text
    assert b"a-path-of-nobody" not in text
    assert families["process_resident_memory_bytes"].samples[0].value > 1_000_000


async def test_metrics_and_figures_agree(socket: Path) -> None:
    await get(socket, "/telemetry/a/slow")
    told = await figures_of(socket)
    _, text = await get(socket, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    samples = families["banyan_http_request_seconds"].samples
    assert told.requests is not None
    assert sum(sample.value for sample in samples if sample.name.endswith("_count")) == told.requests.total


@pytest.mark.parametrize("path", ["/figures", "/metrics"])
@pytest.mark.parametrize("header", ["x-forwarded-for", "x-forwarded-proto"])
async def test_what_comes_through_the_gateway_finds_no_figures(socket: Path, path: str, header: str) -> None:
    assert (await get(socket, path, **{header: "https"}))[0] == 404


async def test_an_open_stream_is_answered_when_it_begins(socket: Path) -> None:
    before = await figures_of(socket)
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get("http://telling/telemetry/stream") as answer,
    ):
        assert await answer.content.readline() == b"data: 1\n"
        during = await figures_of(socket)
    assert during.in_flight == before.in_flight
    assert added(before.requests, during.requests, lambda tally: tally.total) == 1


async def test_a_caller_counts_whom_it_asked_and_who_did_not_answer(socket: Path, tmp_path: Path) -> None:
    client, lost = HttpClient(socket, "a-peer"), HttpClient(tmp_path / "nobody.sock", "a-peer")
    try:
        with pytest.raises(ServiceRefused):
            await client.get("/telemetry/nothing-here", dict[str, str])
        with pytest.raises(ServiceAway):
            await client.get("/telemetry/broken", dict[str, str])
        with pytest.raises(ServiceAway):
            await lost.get("/telemetry/a/slow", dict[str, str])
    finally:
        await client.close()
        await lost.close()
    calls = (await figures_of(socket)).calls["a-peer"]
    assert (calls.total, calls.failed) == (3, 2)


async def test_a_held_up_event_loop_is_seen(socket: Path) -> None:
    await asyncio.sleep(0.3)
    time.sleep(0.4)  # the fault
    await asyncio.sleep(0.05)
    assert (await figures_of(socket)).loop_lag_ms > 100


async def test_statements_are_counted_by_database_and_a_pool_says_how_full_it_is(
    learning_database: Database, ledger: Ledger
) -> None:
    name = learning_database.name
    async with learning_database.transaction() as tx:
        await tx.fetchval("SELECT 1")
        assert ledger.fill()[name].used == 1
        assert ledger.fill()[name].size >= 2
    with pytest.raises(Exception, match="nothing_there"):
        await learning_database.fetch("SELECT * FROM nothing_there")
    told = ledger.figures("test").sql[name]
    assert (told.total, told.failed) == (4, 1)  # BEGIN, SELECT, COMMIT, and the one that failed
    assert ledger.fill()[name].used == 0


async def test_who_waits_for_a_connection_is_seen(learning_database: Database, ledger: Ledger) -> None:
    small = Database(learning_database._url, size=1, name="a-small-pool")
    try:
        async with small.connection():
            waiting = asyncio.create_task(small.fetchval("SELECT 1"))
            await asyncio.sleep(0.02)
            assert ledger.fill()["a-small-pool"].waiting == 1
        assert await waiting == 1
        assert ledger.fill()["a-small-pool"].waiting == 0
    finally:
        await small.close()
    assert "a-small-pool" not in ledger.fill()
