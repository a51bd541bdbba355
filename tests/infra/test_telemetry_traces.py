"""A sampled request leaves spans of all that it led to; every other one, and a receiver that is away, cost nothing."""

import asyncio
import contextlib
import gc
import json
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import structlog
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from banyan.infra import http, logs
from banyan.infra.http_client import HttpClient, ServiceAway
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.infra.telemetry import export, tracing
from banyan.infra.telemetry.figures import LEDGER
from tests.fakes.collector import Collector, Seen, collecting, collecting_at_a_port
from tests.fakes.recording import PARENT, SAMPLED, TRACE, UNSAMPLED, recording

PROCESS = "a-process"


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[Collector]:
    async with collecting(tmp_path / "monitor.sock") as running:
        with recording(PROCESS, monitor=export.Monitor(tmp_path / "monitor.sock")):
            yield running


@contextlib.asynccontextmanager
async def serving(tmp_path: Path, database: Database | None = None) -> AsyncIterator[Path]:
    router = APIRouter()
    socket = tmp_path / "s.sock"
    client = HttpClient(socket, "a-peer")

    @router.get("/asks/{name}")
    async def asks(name: str) -> Response:
        if database is not None:
            async with database.transaction() as tx:
                await tx.fetchval("SELECT  $1::text\n AS name", name)
        with contextlib.suppress(ServiceAway):
            await client.get(f"/{name}", dict[str, str])
        return Response("asked")

    @router.get("/broken")
    async def broken() -> None:
        raise ValueError("secret-detail")

    @router.get("/stream")
    async def stream() -> Response:
        async def lines() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.sleep(30)

        return StreamingResponse(lines(), media_type="text/event-stream")

    app = http.application("telling", [router], settings=Settings.read({"BANYAN_DATA": str(tmp_path)}))
    stop = asyncio.Event()
    running = asyncio.create_task(http.serve(app, http.listening_socket(socket), stop=stop))
    yield socket
    stop.set()
    await running
    await client.close()


async def get(socket: Path, path: str, **headers: str) -> int:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket))) as session,
        session.get(f"http://telling{path}", headers={"x-request-id": "request-1", **headers}) as answer,
    ):
        await answer.content.readany()
        return answer.status


async def spans_of(collector: Collector, count: int) -> list[Seen]:
    await collector.until(lambda: len(collector.spans) >= count)
    return collector.spans


async def test_a_request_its_statements_and_its_calls_are_one_trace(
    tmp_path: Path, collector: Collector, learning_database: Database
) -> None:
    async with serving(tmp_path, learning_database) as socket:
        await get(socket, "/asks/broken", traceparent=SAMPLED)
        spans = await spans_of(collector, 6)
    by_name = {span.name: span for span in spans}
    server, call = by_name["GET /asks/{name}"], by_name["GET a-peer"]
    assert {span.trace_id for span in spans} == {TRACE}
    assert {span.process for span in spans} == {PROCESS}
    assert (server.kind, server.parent_id, server.failed) == ("server", PARENT, False)
    assert server.attributes["banyan.request_id"] == "request-1"
    assert (call.kind, call.parent_id, call.failed) == ("client", server.span_id, True)
    assert (by_name["GET /broken"].parent_id, by_name["GET /broken"].failed) == (call.span_id, True)
    statements = [span for span in spans if "db.query.text" in span.attributes]
    assert [one.attributes["db.query.text"] for one in statements] == ["BEGIN;", "SELECT $1::text AS name", "COMMIT;"]
    assert {one.parent_id for one in statements} == {server.span_id}


async def test_nothing_secret_leaves_the_process(
    tmp_path: Path, collector: Collector, learning_database: Database
) -> None:
    async with serving(tmp_path, learning_database) as socket:
        await get(socket, "/asks/secret-1?link=secret-2", traceparent=SAMPLED, cookie="a=secret-3")
        await get(socket, "/broken", traceparent=SAMPLED, authorization="Bearer secret-4")
        with pytest.raises(Exception, match="secret-5"), tracing.within(tracing.remote(SAMPLED, "x", "internal", {})):
            await learning_database.fetchval("SELECT $1::text::int", "secret-5")
        await spans_of(collector, 8)
    assert b"secret-" not in collector.raw
    assert any(span.attributes.get("error.type") == "ValueError" for span in collector.spans)


async def test_what_was_not_chosen_makes_no_span_and_tells_nobody_to(tmp_path: Path, collector: Collector) -> None:
    async with serving(tmp_path) as socket:
        for header in (UNSAMPLED, "", "nonsense", SAMPLED[:-1], SAMPLED + "-more"):
            await get(socket, "/asks/x", traceparent=header)
        await get(socket, "/ready", traceparent=SAMPLED)
        await get(socket, "/figures", traceparent=SAMPLED)
        await asyncio.sleep(0.7)
    assert (collector.spans, collector.parcels) == ([], 0)


async def test_a_request_that_is_not_traced_makes_no_object_of_the_sdk(tmp_path: Path, collector: Collector) -> None:
    async with serving(tmp_path) as socket:
        await get(socket, "/asks/x", traceparent=SAMPLED)  # so that all is loaded
        await spans_of(collector, 3)
        gc.collect()
        known = {id(one) for one in of_the_sdk()}
        gc.disable()
        try:
            await get(socket, "/asks/x", traceparent=UNSAMPLED)
            made = [one for one in of_the_sdk() if id(one) not in known]
        finally:
            gc.enable()
    assert made == []


async def test_a_stream_is_marked_and_over_when_it_begins(tmp_path: Path, collector: Collector) -> None:
    async with serving(tmp_path) as socket:
        await get(socket, "/stream", traceparent=SAMPLED)
        [span] = await spans_of(collector, 1)
    assert span.attributes["banyan.stream"] == "True"


async def test_log_lines_of_a_traced_request_name_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(PROCESS)
    try:
        with recording(PROCESS), tracing.within(tracing.remote(SAMPLED, "x", "internal", {})):
            structlog.get_logger().info("traced")
        structlog.get_logger().info("not traced")
    finally:
        structlog.reset_defaults()
    traced, untraced = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert traced["trace_id"] == TRACE
    assert "trace_id" not in untraced


async def test_a_collector_of_somebody_elses_gets_them_too() -> None:
    async with collecting_at_a_port() as (collector, url):
        receiver = export.Collector(url, "x-key=a%20key, x-team = school,nonsense")
        with recording(PROCESS, collector=receiver):
            some_spans(3)
        await spans_of(collector, 3)
    assert (collector.headers["x-key"], collector.headers["x-team"]) == ("a key", "school")


async def test_what_waits_is_sent_when_the_process_ends(tmp_path: Path) -> None:
    async with collecting(tmp_path / "monitor.sock") as collector:
        recorder = export.Recorder(PROCESS, {"monitor": export.Monitor(tmp_path / "monitor.sock")})
        tracing.make_by(recorder.maker)
        some_spans(5)
        tracing.make_by(None)
        await asyncio.to_thread(recorder.end)
        assert len(collector.spans) == 5


async def test_receivers_that_are_away_or_hang_delay_nobody_and_are_mentioned_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(PROCESS)
    lost = LEDGER.spans_lost
    try:
        async with collecting_at_a_port() as (hanging, url):
            hanging.hangs = True
            outlets = [
                export.Outlet("monitor", export.Monitor(tmp_path / "nobody.sock"), pause=0.05),
                export.Outlet("collector", export.Collector(url, ""), pause=0.05),
            ]
            with recording(PROCESS) as recorder:
                recorder._outlets += outlets
                started = time.perf_counter()
                for _ in range(3):
                    some_spans(1500)
                    await asyncio.sleep(0.6)
                    assert all(len(outlet._waiting) <= 2048 for outlet in outlets)
                assert time.perf_counter() - started < 15
    finally:
        structlog.reset_defaults()
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert LEDGER.spans_lost - lost > 1500
    assert [line["receiver"] for line in said if line["event"] == "traces are not taken"].count("monitor") == 1
    assert len(said) <= 2, said


async def test_a_monitor_that_was_restarted_gets_what_comes_then(tmp_path: Path) -> None:
    path = tmp_path / "monitor.sock"
    with recording(PROCESS, monitor=export.Monitor(path)):
        for _ in range(2):
            path.unlink(missing_ok=True)
            async with collecting(path) as collector:
                some_spans(1)
                await spans_of(collector, 1)


async def test_a_process_begins_to_trace_by_itself_unless_it_shall_not(tmp_path: Path) -> None:
    for traces in ("5", "0"):
        settings = Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_TRACES_PER_SECOND": traces})
        settings.make_folders()
        async with collecting(settings.socket("monitor")) as collector:
            beginning = export.Beginning(PROCESS, settings)
            await asyncio.sleep(1.0 if traces == "0" else 0)
            async with asyncio.timeout(10):
                while traces != "0" and tracing.remote(SAMPLED, "probe", "internal", {}) is None:
                    await asyncio.sleep(0.05)
            some_spans(2)
            await asyncio.to_thread(beginning.end)
            assert len(collector.spans) == (2 if traces == "5" else 0)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("traces")]


def of_the_sdk() -> list[object]:
    return [one for one in gc.get_objects() if str(type(one).__module__).startswith("opentelemetry")]


def some_spans(count: int) -> None:
    for number in range(count):
        span = tracing.remote(SAMPLED, f"span {number}", "internal", {})
        if span is not None:
            span.end()
