"""The console's stream: what changed and nothing else, for whoever may see it, for as long as they may."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from banyan.gateway.http.console import Console
from banyan.gateway.http.console import stream as streaming
from banyan.gateway.operations.routes import Routes
from banyan.infra import http
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.processes import gateway
from tests.gateway import monitors
from tests.gateway.conftest import children, passed_on, supervise
from tests.gateway.envoy.people import Iam
from tests.gateway.monitors import Monitor

STREAM = "http://gateway/_banyan/console/stream"
PATIENCE = 15.0


class Watching:
    """An open stream. `parts` are the events as they come, by the id of the element."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def part(self) -> tuple[str, str]:
        lines = []
        async with asyncio.timeout(PATIENCE):
            while line := (await self.answer.content.readline()).decode():
                if line.startswith("data: "):
                    lines.append(line.removeprefix("data: "))
                elif lines and line == "\n":
                    html = "".join(lines)
                    return html.partition('id="')[2].partition('"')[0], html
        raise EOFError

    async def ends(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                await self.part()

    async def until(self, name: str, says: str) -> dict[str, int]:
        """How often each part came until one said that."""
        came: dict[str, int] = {}
        while True:
            found, html = await self.part()
            came[found] = came.get(found, 0) + 1
            if found == name and says in html:
                return came


@pytest.fixture
async def client(
    settings: Settings, routes: Routes, gateway_database: Database, console: Console, monitor: Monitor
) -> AsyncIterator[aiohttp.ClientSession]:
    """The console on its own socket."""
    supervise(settings, children(envoy="ready", web="ready"))
    console.watchers.every = 0.2
    stop = asyncio.Event()
    listener = http.listening_socket(settings.socket("gateway"))
    app = gateway.application(settings, routes, gateway_database, console)
    serving = asyncio.create_task(http.serve(app, listener, stop=stop))
    connector = aiohttp.UnixConnector(str(settings.socket("gateway")))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
    stop.set()
    await serving
    listener.close()


def operator(iam: Iam, **claims: object) -> dict[str, str]:
    token = iam.token(roles="operator", **claims)  # type: ignore[arg-type]  # the names are those of the claims
    return {"cookie": f"banyan_session={token}; banyan_locale=en", **passed_on(iam)}


@contextlib.asynccontextmanager
async def watching(client: aiohttp.ClientSession, headers: dict[str, str], query: str = "") -> AsyncIterator[Watching]:
    async with client.get(STREAM + query, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "text/event-stream"
        yield Watching(answer)


async def test_a_change_comes_by_itself_and_what_is_as_it_was_does_not(
    client: aiohttp.ClientSession, iam: Iam, settings: Settings
) -> None:
    async with watching(client, operator(iam), "?page=processes") as stream:
        await stream.until("processes", "web")

        supervise(settings, children(envoy="ready", web="failing"))

        came = await stream.until("processes", "keeps dying")

    assert came["processes"] == 1
    assert "way-back" not in came


@pytest.mark.parametrize("page", ["overview", "processes", "logs", "traces", "events", "alerts"])
async def test_the_stream_has_the_parts_of_its_page(
    client: aiohttp.ClientSession, iam: Iam, console: Console, page: str
) -> None:
    async with watching(client, operator(iam), f"?page={page}") as stream:
        came = [(await stream.part())[0] for _ in console.parts_of(page)]

    assert came == list(console.parts_of(page))


async def test_only_operators_watch(client: aiohttp.ClientSession, iam: Iam) -> None:
    async with client.get(STREAM, headers={"accept": "text/event-stream"}) as answer:
        assert answer.status == 401
    learner = {"cookie": f"banyan_session={iam.token(roles='learner')}", **passed_on(iam)}
    async with client.get(STREAM, headers=learner) as answer:
        assert answer.status == 403


async def test_the_stream_ends_with_the_session_or_its_token(
    client: aiohttp.ClientSession, iam: Iam, settings: Settings
) -> None:
    short = operator(iam, life=2.0 - settings.clock_skew)
    async with watching(client, operator(iam)) as ended, watching(client, short) as expired:
        await ended.part()
        await expired.ends()

        iam.ended.append(iam.session)

        await ended.ends()


async def test_it_ends_with_its_process_at_once(client: aiohttp.ClientSession, iam: Iam, console: Console) -> None:
    stop = asyncio.Event()
    ending = asyncio.create_task(console.watchers.end_after(stop))
    async with watching(client, operator(iam)) as stream:
        await stream.part()

        stop.set()

        await stream.ends()
        async with client.get(STREAM, headers=operator(iam)) as late:
            assert late.status == 503
    await ending


async def test_a_session_has_only_so_many_streams(client: aiohttp.ClientSession, iam: Iam) -> None:
    async with contextlib.AsyncExitStack() as open_streams:
        for _ in range(streaming.MOST_OF_A_SESSION):
            await open_streams.enter_async_context(watching(client, operator(iam)))

        async with client.get(STREAM, headers=operator(iam)) as refused:
            assert refused.status == 503
            assert "retry-after" in refused.headers

    async with asyncio.timeout(PATIENCE):  # those who have gone make room
        while (answer := await client.get(STREAM, headers=operator(iam))).status == 503:
            await asyncio.sleep(0.1)
    assert answer.status == 200
    answer.close()


async def test_monitor_is_asked_once_a_second_however_many_watch_and_not_when_nobody_does(
    client: aiohttp.ClientSession, iam: Iam, monitor: Monitor
) -> None:
    async with contextlib.AsyncExitStack() as open_streams:
        streams = [await open_streams.enter_async_context(watching(client, operator(iam))) for _ in range(5)]
        begun = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begun + 3:
            await asyncio.gather(*(stream.part() for stream in streams))
        seconds = asyncio.get_running_loop().time() - begun

    assert 2 <= monitor.asked["now"] <= seconds / 0.9 + 2
    await asyncio.sleep(0.3)
    asked = monitor.asked["now"]
    await asyncio.sleep(1.5)
    assert monitor.asked["now"] == asked


async def test_the_page_says_that_monitor_is_away_and_since_when_and_that_it_is_back(
    client: aiohttp.ClientSession, iam: Iam, monitor: Monitor
) -> None:
    async with watching(client, operator(iam)) as stream:
        await stream.until("trouble", "Nothing is wrong.")

        monitor.mood = "503"
        await stream.until("monitor-away", "as they were at")

        monitor.mood = "well"
        await stream.until("monitor-away", "hidden>")


async def test_an_alert_leads_to_the_box_it_is_about(
    client: aiohttp.ClientSession, iam: Iam, monitor: Monitor, settings: Settings
) -> None:
    supervise(settings, children(envoy="ready", web="ready", learning="ready"))
    async with watching(client, operator(iam)) as stream:
        await stream.until("map", 'class="box new well" id="box-learning"')

        monitors.hung(monitor)

        came = await stream.until("map", 'class="box new wrong" id="box-learning"')
        assert came["map"] >= 1


def test_whatever_a_part_holds_is_one_event() -> None:
    hostile = "<p>one\r\ndata: two\n\nevent: part\rid: 3\x0b\x85\u2028</p>".encode()

    told = streaming.event(hostile)

    assert told.count(b"\n\n") == 1
    assert told.endswith(b"\n\n")
    assert all(line.startswith((b"event: part", b"data: ")) for line in told.rstrip(b"\n").split(b"\n"))
    assert b"\r" not in told
