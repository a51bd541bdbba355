"""What monitor knows, for the console and the command line; and where spans are sent to. On its own socket only."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from banyan.contracts.monitor import TraceList, Trial
from banyan.infra.http import json_response
from banyan.infra.telemetry.faces import from_the_socket_itself
from banyan.kit.errors import NotFound, Unavailable
from banyan.kit.paging import DEFAULT_LIMIT, MAX_LIMIT
from banyan.monitor import queries
from banyan.monitor.adapters import otlp
from banyan.monitor.adapters.logs import Logs
from banyan.monitor.domain.loglines import Search
from banyan.monitor.domain.traces import TraceStore
from banyan.monitor.operations.alerts import Alerts
from banyan.monitor.operations.looking import Lookout

_SEARCHES = 2
_WORDS = 8

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Short = Annotated[str, Query(max_length=200)]
Level = Literal["", "debug", "info", "warning", "error", "critical"]


class NotLookedYet(Unavailable):
    """Monitor has only just started; ask again in a second."""


class TraceUnknown(NotFound):
    """There is no such trace here, or no longer."""


class TooManySearches(Unavailable):
    """Others are searching the logs just now; try again in a moment."""

    retry_after = 1


def router(lookout: Lookout, alerts: Alerts, traces: TraceStore, logs: Logs, metrics: queries.Metrics) -> APIRouter:
    api = APIRouter(dependencies=[Depends(from_the_socket_itself)], include_in_schema=False)
    searches = asyncio.Semaphore(_SEARCHES)

    @api.get("/now")
    async def now() -> Response:
        if lookout.now is None:
            raise NotLookedYet
        return json_response(queries.now(lookout.now, alerts))

    @api.get("/traces")
    async def list_traces(
        limit: Limit = DEFAULT_LIMIT,
        min_ms: Annotated[float, Query(ge=0, le=1e9)] = 0.0,
        process: Short = "",
        errors: bool = False,
        request_id: Short = "",
        after: str | None = None,
    ) -> Response:
        heads = traces.heads(min_ms=min_ms, process=process, errors=errors, request_id=request_id)
        if after is not None:
            heads = queries.traces_after(heads, after)
        page = heads[:limit]
        more = len(heads) > limit
        return json_response(TraceList(page, queries.trace_cursor(page[-1]) if more else None))

    @api.get("/traces/{trace_id}")
    async def one_trace(trace_id: str) -> Response:
        found = traces.find(trace_id.lower())
        if found is None:
            raise TraceUnknown
        return json_response(found)

    @api.get("/logs")
    async def search_logs(
        q: Short = "",
        process: Short = "",
        level: Level = "",
        request_id: Short = "",
        after: Annotated[str | None, Query(max_length=4000)] = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> Response:
        if searches.locked():
            raise TooManySearches
        wanted = Search(tuple(q.lower().split()[:_WORDS]), level, request_id)
        async with searches:
            return json_response(await asyncio.to_thread(logs.page, wanted, process=process, after=after, limit=limit))

    @api.get("/alerts")
    async def list_alerts() -> Response:
        return json_response(alerts.page(now=datetime.now(UTC)))

    @api.post("/alerts/test")
    async def try_alerts() -> Response:
        return json_response(Trial(await alerts.try_all(now=datetime.now(UTC))))

    @api.get("/metrics-of-all")
    async def metrics_of_all() -> Response:
        return Response(await metrics.text(lookout.now), media_type=queries.METRICS_TYPE)

    return api


def collector(traces: TraceStore) -> APIRouter:
    """Envoy marks what it sends itself as it marks what it passes on, so marks are no matter here; no route of Envoy's
    leads here."""
    api = APIRouter(include_in_schema=False)

    @api.post("/v1/traces")
    async def take_spans(request: Request) -> Response:
        spans = otlp.decode(
            await request.body(),
            media_type=request.headers.get("content-type", ""),
            encoding=request.headers.get("content-encoding", ""),
        )
        traces.add(spans, now=asyncio.get_running_loop().time())
        return Response(b"", media_type=otlp.MEDIA_TYPE)  # an ExportTraceServiceResponse that says: all taken

    return api
