"""Envoy alone decides what is traced, tells the spans to monitor, and does not suffer when monitor does."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from banyan.gateway.jobs import Sampling
from tests.fakes.collector import Collector, Seen, collecting
from tests.gateway.envoy.fronts import Front, exchange, front

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")
ALL = 100
FORGED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@asynccontextmanager
async def traced(share: int = ALL, **variables: str) -> AsyncIterator[tuple[Front, Collector]]:
    async with front(legacy="demo", **variables) as door, collecting(door.settings.socket("monitor")) as collector:
        await door.plane.admin.sample(share)
        yield door, collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything() -> AsyncIterator[tuple[Front, Collector]]:
    async with traced() as both:
        yield both


def passed_on(door: Front, service: str) -> tuple[str, str, bool]:
    """Trace, span and whether it is traced, as the service was told last."""
    found = TRACEPARENT.fullmatch(door.upstreams[service].last.value(b"traceparent"))
    assert found
    return found[1].decode(), found[2].decode(), found[3] == b"01"


async def span_of(collector: Collector, span_id: str) -> Seen:
    await collector.until(lambda: any(span.span_id == span_id for span in collector.spans))
    return next(span for span in collector.spans if span.span_id == span_id)


async def test_a_request_has_a_span_that_says_where_it_went(everything: tuple[Front, Collector]) -> None:
    door, collector = everything
    answer = await door.get("/courses/some-course?secret=1")
    trace_id, span_id, chosen = passed_on(door, "web")
    span = await span_of(collector, span_id)
    assert chosen
    assert (span.process, span.kind, span.name, span.trace_id) == ("envoy", "server", "GET course", trace_id)
    assert span.attributes["url.path"] == "/courses/some-course"
    assert span.attributes["banyan.request_id"] == answer.value("x-request-id")
    assert span.attributes["banyan.stream"] == "false"
    assert (span.attributes["http.status_code"], span.attributes["upstream_cluster"]) == ("200", "new~course")


async def test_a_call_on_the_private_listener_is_part_of_the_callers_trace(
    everything: tuple[Front, Collector],
) -> None:
    door, collector = everything
    parent, request_id = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", str(uuid.uuid4())
    for share in (0, ALL):
        await door.plane.admin.sample(share)
        await call(door, f"x-request-id: {request_id}", f"traceparent: {parent}", "x-client-trace-id: 4bf92f3577b34da6")
        trace_id, span_id, chosen = passed_on(door, "learning")
        span = await span_of(collector, span_id)
        assert (chosen, trace_id, span.parent_id) == (True, parent[3:35], parent[36:52])
        assert (span.name, span.attributes["banyan.request_id"]) == ("GET learning", request_id)
        assert door.upstreams["learning"].last.value(b"x-request-id").decode() == request_id, "tracing changes no id"


async def test_a_call_of_what_is_not_traced_is_not_traced(everything: tuple[Front, Collector]) -> None:
    door, _ = everything
    await call(door, f"x-request-id: {uuid.uuid4()}")
    assert not passed_on(door, "learning")[2]


async def call(door: Front, *headers: str) -> None:
    """As a service calls another."""
    reader, writer = await asyncio.open_unix_connection(str(door.settings.run / "internal.sock"))
    lines = ("GET /api/v1/courses HTTP/1.1", "Host: learning", *headers, "", "")
    await exchange(reader, writer, "\r\n".join(lines).encode())


async def test_what_a_client_says_about_traces_is_not_believed(everything: tuple[Front, Collector]) -> None:
    door, _ = everything
    await door.plane.admin.sample(0)
    try:
        await door.get("/courses", f"traceparent: {FORGED}", "tracestate: theirs=1", "x-client-trace-id: 1")
        trace_id, _, chosen = passed_on(door, "web")
        assert (chosen, trace_id == FORGED[3:35]) == (False, False)
        assert door.upstreams["web"].last.values(b"tracestate") in ([], [b""])
    finally:
        await door.plane.admin.sample(ALL)


async def test_a_trusted_proxys_trace_goes_on() -> None:
    async with traced(BANYAN_TRUSTED_HOPS="1") as (door, _):
        await door.get("/courses", f"traceparent: {FORGED}")
        assert passed_on(door, "web")[0] == FORGED[3:35]


async def test_the_old_site_gets_no_header_of_traces(everything: tuple[Front, Collector]) -> None:
    door, collector = everything
    before = len(collector.of("envoy"))
    await door.get("/an-old-page?token=secret")
    assert not [name for name, _ in door.old.last.headers if name.lower().startswith(b"trace")]
    await collector.until(lambda: len(collector.of("envoy")) > before)
    assert collector.of("envoy")[-1].attributes["url.path"] == "/an-old-page"


@pytest.mark.parametrize(
    ("path", "service"),
    [("/_banyan/health", "gateway"), ("/_banyan/console/routes", "gateway"), ("/_banyan/assets/1/a.css", "web")],
)
async def test_who_looks_and_what_only_decorates_is_not_traced(
    everything: tuple[Front, Collector], path: str, service: str
) -> None:
    door, _ = everything
    await door.get(path)
    assert not passed_on(door, service)[2]


async def test_nothing_secret_is_in_a_span(everything: tuple[Front, Collector]) -> None:
    door, collector = everything
    private = ("Cookie: banyan_session=secret-5", "Authorization: Bearer secret-6", "Referer: http://a/secret-7")
    paths = ["/reset/secret-1", "/_banyan/reset/secret-2", "/_banyan/api/v1/password-resets/secret-3", "/x?secret-4"]
    before = len(collector.of("envoy"))
    for path in paths:
        await door.get(path, *private)
    await collector.until(lambda: len(collector.of("envoy")) == before + len(paths))
    assert b"secret-" not in collector.raw
    # Envoy's threads tell what they saw each for itself, in any order.
    told = sorted(str(span.attributes["url.path"]) for span in collector.of("envoy")[before:])
    assert told == [*["(secret)"] * 3, "/x"]


async def test_an_answer_without_an_end_is_marked(everything: tuple[Front, Collector]) -> None:
    door, collector = everything
    stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nContent-Length: 2\r\n\r\n\n\n"
    door.upstreams["web"].answer = stream
    try:
        await door.get("/courses", "Accept: text/event-stream")
    finally:
        door.upstreams["web"].answer = None
    span = await span_of(collector, passed_on(door, "web")[1])
    assert span.attributes["banyan.stream"] == "true"


async def test_without_traces_nothing_of_all_this_happens() -> None:
    async with (
        front(legacy="demo", BANYAN_TRACES_PER_SECOND="0") as door,
        collecting(door.settings.socket("monitor")) as collector,
    ):
        await door.get("/courses")
        await door.get("/an-old-page", f"traceparent: {FORGED}")
        assert door.upstreams["web"].last.values(b"traceparent") == []
        assert door.old.last.value(b"traceparent").decode() == FORGED, "the old site gets what it always got"
        await asyncio.sleep(0.7)
        assert collector.parcels == 0


async def test_nobody_waits_for_a_monitor_that_hangs_refuses_or_is_away() -> None:
    async with front(legacy="demo") as door:
        await door.plane.admin.sample(ALL)
        assert await slowest(door) < 5, "away"
        async with collecting(door.settings.socket("monitor")) as collector:
            collector.status = 503
            assert await slowest(door) < 5, "refuses"
            collector.hangs = True
            assert await slowest(door) < 5, "hangs"
            active = await door.plane.admin.stats(r"^cluster\.traces\.upstream_rq_active$")
            assert int(active["cluster.traces.upstream_rq_active"]) <= 4
            collector.hangs, collector.status = False, 200
            await asyncio.sleep(1.1)  # those that hang are given up
            await door.get("/courses")
            await span_of(collector, passed_on(door, "web")[1])


async def slowest(door: Front) -> float:
    """Of many requests, some at a time."""

    async def ask() -> float:
        started = time.monotonic()
        assert (await door.get("/courses")).status == 200
        return time.monotonic() - started

    return max([took for _ in range(15) for took in await asyncio.gather(*(ask() for _ in range(10)))])


async def test_the_share_follows_the_traffic(everything: tuple[Front, Collector]) -> None:
    door, _ = everything
    await door.plane.admin.sample(0)
    sampling = Sampling(door.plane.admin, wanted=20)
    await sampling.step()
    await asyncio.sleep(0.3)
    await sampling.step()
    assert await traced_of(door, 20) == 20
    await sampling.step()
    await asyncio.gather(*(door.get("/courses") for _ in range(150)))
    await sampling.step()
    assert await traced_of(door, 100) < 60
    await asyncio.sleep(0.5)
    await sampling.step()
    await asyncio.sleep(0.3)
    await sampling.step()
    assert await traced_of(door, 20) == 20


async def test_an_envoy_that_starts_anew_is_told_again() -> None:
    async with traced() as (door, _):
        sampling = Sampling(door.plane.admin, wanted=20)
        for _ in range(3):
            await sampling.step()
            await asyncio.sleep(0.1)
        await door.get("/courses")
        await sampling.step()
        await door.stop()
        await sampling.step()
        await door.start()
        for _ in range(3):
            await sampling.step()
            await asyncio.sleep(0.1)
        assert await traced_of(door, 10) == 10


async def traced_of(door: Front, requests: int) -> int:
    """How many of them were."""
    before = len(door.upstreams["web"].requests)
    for _ in range(requests):
        await door.get("/courses")
    told = [request.value(b"traceparent") for request in door.upstreams["web"].requests[before:]]
    return sum(one.endswith(b"-01") for one in told)
