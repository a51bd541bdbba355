"""Bodies are streamed, silence is bounded, and what failed is asked again only where that is safe."""

import asyncio
import socket
import time

import pytest

from tests.gateway.envoy.fronts import Front, front, read_answer
from tests.gateway.envoy.upstreams import OK, Received, Upstream, breaking_once, polite, speaking

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEGABYTE = 2**20


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_slow_upload_of_twenty_megabytes_is_streamed(door: Front, chunked: bool) -> None:
    first_byte: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    taken = 0

    async def swallow(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        upstream.requests.append(Received(await reader.readuntil(b"\r\n\r\n")))
        last = b""
        while taken < 20 * MEGABYTE or (chunked and not last.endswith(b"0\r\n\r\n")):
            last = await reader.read(MEGABYTE)
            if taken == 0:
                first_byte.set_result(time.monotonic())
            taken += len(last)
        writer.write(OK % (2, b"ok"))
        await writer.drain()

    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (20 * MEGABYTE)
    with speaking(door.old, swallow):
        reader, writer = await door.connect()
        writer.write(b"POST /upload HTTP/1.1\r\nHost: s\r\n" + framing + b"\r\n\r\n")
        for _ in range(20):
            part = b"u" * MEGABYTE
            writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            await writer.drain()
            await asyncio.sleep(0.02)
        sent_all = time.monotonic()
        if chunked:
            writer.write(b"0\r\n\r\n")
        answer = await asyncio.wait_for(read_answer(reader), 20)
        writer.close()

    assert answer.status == 200
    assert await first_byte < sent_all - 0.2
    assert taken >= 20 * MEGABYTE


async def test_a_download_longer_than_any_timeout_is_not_cut() -> None:
    async def trickle(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
        for _ in range(12):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.2)

    async with front(BANYAN_LEGACY_TIMEOUT_SECONDS="1.5", BANYAN_NEW_TIMEOUT_SECONDS="1.5") as door:
        with speaking(door.old, trickle):
            answer = await door.get("/download")

    assert answer.body == b"x" * 12


async def test_a_silent_old_site_is_a_504_after_its_time_and_is_asked_once() -> None:
    async with front(BANYAN_LEGACY_TIMEOUT_SECONDS="0.5") as door:
        with speaking(door.old, silent):
            started = time.monotonic()
            answer = await door.get("/slow", "Accept: text/html")
            seconds = time.monotonic() - started
            asked = len(door.old.requests)
            posted = await door.send(b"POST /slow HTTP/1.1\r\nHost: s\r\nContent-Length: 1\r\n\r\na")

    assert (answer.status, answer.side) == (504, "gateway")
    assert 0.4 < seconds < 5
    assert asked == 1
    assert posted.status == 504


async def test_a_slow_upload_outlives_the_old_sites_time() -> None:
    async with front(BANYAN_LEGACY_TIMEOUT_SECONDS="1") as door:
        reader, writer = await door.connect()
        writer.write(b"POST /up HTTP/1.1\r\nHost: s\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await asyncio.sleep(0.2)
            writer.write(b"a")
            await writer.drain()
        answer = await read_answer(reader)
        writer.close()

    assert (answer.status, door.old.last.body) == (200, b"aaaaaa")


async def test_an_upload_that_stops_halfway_is_a_408() -> None:
    async with front(BANYAN_LEGACY_TIMEOUT_SECONDS="0.4") as door:
        answer = await door.send(b"POST /up HTTP/1.1\r\nHost: s\r\nContent-Length: 6\r\n\r\na")

    assert (answer.status, answer.side) == (408, "gateway")


@pytest.mark.parametrize("path", ["/ws", "/courses"])
async def test_a_websocket_may_be_silent_for_long(path: str) -> None:
    async with front(legacy="demo", BANYAN_LEGACY_TIMEOUT_SECONDS="0.4", BANYAN_NEW_TIMEOUT_SECONDS="0.4") as door:
        upstream = door.old if path == "/ws" else door.upstreams["web"]
        with speaking(upstream, echoing):
            reader, writer = await door.connect()
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: s\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(1.2)
            sent = bytes(range(256)) * 4096
            writer.write(sent)
            echoed = await asyncio.wait_for(reader.readexactly(len(sent)), 10)
            writer.close()

    assert head.startswith(b"HTTP/1.1 101")
    assert echoed == sent
    assert upstream.last.value(b"sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize("path", ["/events", "/courses"])
async def test_a_stream_of_events_may_be_silent_for_long(path: str) -> None:
    told: list[float] = []

    async def events(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for delay in (0, 1.2):
            await asyncio.sleep(delay)
            writer.write(b"7\r\ndata: 1\r\n")
            await writer.drain()
            told.append(time.monotonic())
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async with front(legacy="demo", BANYAN_LEGACY_TIMEOUT_SECONDS="0.4", BANYAN_NEW_TIMEOUT_SECONDS="0.4") as door:
        with speaking(door.old if path == "/events" else door.upstreams["web"], events):
            reader, writer = await door.connect()
            writer.write(f"GET {path} HTTP/1.1\r\nHost: s\r\nAccept: text/event-stream\r\n\r\n".encode())
            await reader.readuntil(b"data: 1\r\n")
            first = time.monotonic()
            await asyncio.wait_for(reader.readuntil(b"data: 1\r\n"), 5)
            writer.close()

    assert told[0] <= first + 0.1 < told[1]


async def test_a_client_that_hangs_up_is_not_worked_for(door: Front) -> None:
    gone = asyncio.Event()

    async def notice(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        if await reader.read() == b"":
            gone.set()

    with speaking(door.old, notice):
        _, writer = await door.connect()
        writer.write(b"GET /report HTTP/1.1\r\nHost: s\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.close()
        await asyncio.wait_for(gone.wait(), 5)


async def test_trailers_pass_both_ways(door: Front) -> None:
    async def trailing(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(
            b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n"
        )
        await writer.drain()
        await reader.read()

    with speaking(door.old, trailing):
        reader, writer = await door.connect()
        writer.write(
            b"POST /t HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 5\r\n\r\n"
        )
        received = await asyncio.wait_for(reader.readuntil(b"7\r\n\r\n"), 5)
        writer.close()

    assert b"x-sum: 7" in received.lower()
    assert b"x-sum: 5" in door.old.last.body.lower()


@pytest.mark.parametrize("path", ["/page", "/courses"])
async def test_a_page_is_asked_for_again_when_its_connection_breaks(door: Front, path: str) -> None:
    upstream = door.old if path == "/page" else door.upstreams["web"]
    with speaking(upstream, breaking_once()):
        answer = await door.get(path)

    assert (answer.status, answer.body) == (200, upstream.name.encode())


async def test_two_hundred_pages_survive_the_death_of_their_process() -> None:
    async with front(legacy="demo") as door:
        web = door.upstreams["web"]
        web.talk = silent
        asking = [asyncio.create_task(door.get("/courses")) for _ in range(200)]
        while len(web.requests) < 200:
            await asyncio.sleep(0.02)
        web.talk = polite
        web.drop()
        answers = await asyncio.gather(*asking)

    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize("path", ["/order", "/courses"])
async def test_what_may_have_been_done_is_not_sent_again(door: Front, path: str) -> None:
    upstream = door.old if path == "/order" else door.upstreams["web"]
    seen = len(upstream.requests)
    with speaking(upstream, breaking_once()):
        answer = await door.send(f"POST {path} HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nok".encode())

    assert answer.status == 502
    assert len(upstream.requests) == seen + 1


async def test_a_connection_that_went_stale_costs_no_request() -> None:
    async def impatient(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(OK % (len(upstream.name), upstream.name.encode()))
        await writer.drain()
        await asyncio.sleep(0.3)  # then it closes, as Apache does after its KeepAliveTimeout

    async with front(BANYAN_LEGACY_IDLE_SECONDS="0.1") as door:
        with speaking(door.old, impatient):
            answers = []
            for pause in (0.25, 0.29, 0.3, 0.31, 0.35):
                answers.append(await door.send(b"POST /a HTTP/1.1\r\nHost: s\r\nContent-Length: 0\r\n\r\n"))
                await asyncio.sleep(pause)

    assert [answer.status for answer in answers] == [200] * 5


async def test_a_post_waits_for_a_process_that_is_being_restarted() -> None:
    async with front(legacy="demo") as door:
        path = door.settings.socket("web")
        held = socket.socket(socket.AF_UNIX)
        path.unlink()
        held.bind(str(path))
        held.listen(100)  # as the supervisor holds it: connections wait, nobody refuses
        posting = asyncio.create_task(door.send(b"POST /courses HTTP/1.1\r\nHost: s\r\nContent-Length: 2\r\n\r\nok"))
        await asyncio.sleep(0.5)
        web = Upstream("web", polite)
        server = await asyncio.start_unix_server(web.accept, sock=held)
        answer = await posting
        server.close()
        await web.hang_up()

    assert (answer.status, web.last.body) == (200, b"ok")


async def silent(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await upstream.receive(reader)


async def echoing(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    upstream.requests.append(Received(await reader.readuntil(b"\r\n\r\n")))
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
