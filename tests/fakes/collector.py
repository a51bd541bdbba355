"""Somebody who takes traces over HTTP and really decodes them; it can also hang, or refuse."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

_FAILED = trace_pb2.Status.STATUS_CODE_ERROR


@dataclass(frozen=True, slots=True)
class Seen:
    process: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    attributes: dict[str, str]


@dataclass(slots=True)
class Collector:
    """`raw` is all that has been sent, as it was; `headers` those of the last parcel."""

    spans: list[Seen] = field(default_factory=list)
    raw: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    parcels: int = 0
    status: int = 200
    hangs: bool = False

    async def take(self, request: web.Request) -> web.Response:
        self.parcels += 1
        self.headers = {name.lower(): value for name, value in request.headers.items()}
        if self.hangs:
            await asyncio.sleep(60)
        body = await request.read()
        if self.status == 200:
            self.raw += body
            self.spans += decoded(body)
        return web.Response(status=self.status)

    def of(self, process: str) -> list[Seen]:
        return [span for span in self.spans if span.process == process]

    async def until(self, found: Callable[[], bool], seconds: float = 5) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not found():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError([(span.process, span.name) for span in self.spans]) from None


def decoded(body: bytes) -> list[Seen]:
    found = []
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            found += [_seen(about["service.name"], span) for span in scope.spans]
    return found


@contextlib.asynccontextmanager
async def collecting(path: Path) -> AsyncIterator[Collector]:
    """Listens on a Unix socket, as `monitor` does."""
    collector = Collector()
    async with _running(collector) as runner:
        await web.UnixSite(runner, str(path)).start()
        yield collector


@contextlib.asynccontextmanager
async def collecting_at_a_port() -> AsyncIterator[tuple[Collector, str]]:
    """Listens where a company's own collector might, and says at which URL."""
    collector = Collector()
    async with _running(collector) as runner:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield collector, f"http://127.0.0.1:{runner.addresses[0][1]}"


@contextlib.asynccontextmanager
async def _running(collector: Collector) -> AsyncIterator[web.AppRunner]:
    application = web.Application(client_max_size=10_000_000)
    application.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


def _seen(process: str, span: trace_pb2.Span) -> Seen:
    attributes = {pair.key: _text(pair.value) for pair in span.attributes}
    kind = trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower()
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Seen(process, span.name, kind, *ids, span.status.code == _FAILED, attributes)


def _text(value: object) -> str:
    kind = value.WhichOneof("value")  # type: ignore[attr-defined]  # generated
    return str(getattr(value, kind)) if kind else ""
