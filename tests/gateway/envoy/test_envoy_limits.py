"""One route that hangs is nobody else's outage."""

import asyncio
import resource
from collections.abc import Iterable, Iterator

import pytest

from tests.gateway.envoy.fronts import front
from tests.gateway.envoy.upstreams import Upstream, speaking

pytestmark = pytest.mark.asyncio(loop_scope="module")

BREAKER = 1024


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_full_route_says_so_at_once_and_the_others_stay_well() -> None:
    async def hang(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await upstream.receive(reader)
        if request.path == b"/courses":
            await asyncio.sleep(30)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nweb")
        await writer.drain()

    async with front(legacy="demo") as door:
        with speaking(door.upstreams["web"], hang):
            hogs = [await door.connect() for _ in range(BREAKER)]
            for _, writer in hogs:
                writer.write(b"GET /courses HTTP/1.1\r\nHost: s\r\n\r\n")
            for _ in range(200):
                active = await door.plane.admin.stats(r"^cluster\.new~courses\.upstream_rq_active$")
                if active["cluster.new~courses.upstream_rq_active"] == BREAKER:
                    break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError(f"the route is not full: {active}")
            full = await door.get("/courses", "Accept: text/html", seconds=2)
            same_process = await door.get("/courses/a", seconds=2)
            other = await door.get("/x", seconds=2)
            await hang_up(writer for _, writer in hogs)

    assert (full.status, full.side) == (503, "gateway")
    assert int(full.value("retry-after")) > 0
    assert b"Too much is going on just now" in full.body
    assert (same_process.status, same_process.body) == (200, b"web")
    assert (other.status, other.body) == (200, b"old-site")


async def test_errors_of_an_application_never_shut_its_only_host_out() -> None:
    async with front(legacy="demo") as door:
        for upstream in (door.old, door.upstreams["web"]):
            upstream.answer = b"HTTP/1.1 500 Broken\r\nContent-Length: 1\r\n\r\n!"
        broken = [await door.get(path) for path in ("/x", "/courses") for _ in range(40)]
        await asyncio.sleep(1.2)  # longer than outliers are looked for
        for upstream in (door.old, door.upstreams["web"]):
            upstream.answer = None
        well = [await door.get(path) for path in ("/x", "/courses")]

    assert {(answer.status, answer.body) for answer in broken} == {(500, b"!")}
    assert [answer.status for answer in well] == [200, 200]


async def hang_up(writers: Iterable[asyncio.StreamWriter]) -> None:
    closing = list(writers)
    for writer in closing:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in closing), return_exceptions=True)
