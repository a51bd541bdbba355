"""HTTP on our side of the gateway: one application form, problem documents, and a server that stops in time."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import msgspec
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from banyan.infra import edge
from banyan.infra.settings import Settings
from banyan.infra.telemetry import faces, lag
from banyan.kit.errors import Refusal

Check = Callable[[], Awaitable[None]]
ErrorPage = Callable[[Request, int, str, str], Response]

REQUEST_ID = edge.REQUEST_ID
EVENT_STREAM = edge.EVENT_STREAM
READY = edge.READY
BodyTooLarge = edge.BodyTooLarge
problem = edge.problem
LISTEN_VARIABLE = "BANYAN_LISTEN_FD"
PROBLEM: dict[str, Any] = {
    "description": "An RFC 9457 problem document.",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                },
            }
        }
    },
}
"""How an API's description shows what `problem` makes."""

# FastAPI's own, which costs something even where nobody listens; ours sees more than the handler.
_NONE: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}
_GRACEFUL_SECONDS = 5
_KEEP_ALIVE_SECONDS = 75
_FIRST_OF_SYSTEMD = 3


def application(
    name: str,
    routers: Iterable[APIRouter],
    *,
    settings: Settings,
    checks: Iterable[Check] = (),
    error_page: ErrorPage | None = None,
) -> FastAPI:
    """A FastAPI application with `/ready`, problem documents (or `error_page`), bounded bodies and request ids.

    `checks` are what the process needs to be ready; each raises when it is not so.
    """
    # A redirect to the path without its slash would name our own prefix and scheme, not the public ones.
    app = FastAPI(
        title=f"Banyan {name}", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, telemetry=_NONE
    )
    routers = [faces.router(name, settings.run), *routers]
    for router in routers:
        app.include_router(router)

    ready_checks = list(checks)

    @app.get(READY, include_in_schema=False)
    async def ready() -> Response:
        for check in ready_checks:
            await check()
        return Response(status_code=204)

    def answer(request: Request, status: int, slug: str, detail: str, **more: object) -> Response:
        if error_page is not None and not _wants_json(request):
            return error_page(request, status, slug, detail)
        return problem(status, slug, detail, request_id=request.headers.get(REQUEST_ID, ""), **more)

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        response = answer(request, refusal.status, refusal.slug, refusal.detail)
        if refusal.retry_after is not None:
            response.headers["retry-after"] = str(refusal.retry_after)
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, fault: RequestValidationError) -> Response:
        errors = [{"in": [str(part) for part in error["loc"]], "detail": error["msg"]} for error in fault.errors()]
        detail = "; ".join(f"{'.'.join(error['in'])}: {error['detail']}" for error in errors[:5])
        return answer(request, 422, "invalid-request", detail, errors=errors[:50])

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, fault: HTTPException) -> Response:
        response = answer(request, fault.status_code, _slug(fault.status_code), str(fault.detail))
        response.headers.update(fault.headers or {})
        return response

    def busy(request: Request) -> Response:
        return answer(request, 503, "too-busy", "Too much is asked here just now; try again in a moment.")

    def broken(request: Request) -> Response:
        return answer(request, 500, "internal-error", "Something of ours broke. Nothing of yours was changed.")

    if settings.demo:
        from banyan.infra.faults import agent  # no process outside the demo loads it

        app.add_middleware(agent.Faulty)
    templates = {
        route.endpoint: route.path for router in routers for route in router.routes if isinstance(route, Route)
    }
    app.add_middleware(edge.Edge, settings=settings, busy=busy, broken=broken, templates=templates)
    return app


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A wire type encoded once, without FastAPI's own pass over it."""
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def client_address(request: Request, *, trusted_hops: int) -> str:
    """Who asks: the gateway adds whom it saw last, behind what each trusted proxy says of the one before it. What
    stands further left, a client may have written. Empty where there is no gateway."""
    hops = [hop.strip() for line in request.headers.getlist("x-forwarded-for") for hop in line.split(",")]
    return hops[max(-len(hops), -1 - trusted_hops)][:64] if hops else ""


def listening_socket(path: Path) -> socket.socket:
    """A Unix socket that only its owner may connect to."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(1024)
    return listener


def inherited_or_own_socket(settings: Settings, process: str) -> socket.socket:
    """The socket that the supervisor, or systemd, holds open across our restarts, or one of our own."""
    descriptor = os.environ.pop(LISTEN_VARIABLE, None)
    if descriptor is not None:
        return socket.socket(fileno=int(descriptor))
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and os.environ.get("LISTEN_FDS") == "1":
        listener = socket.socket(fileno=_FIRST_OF_SYSTEMD)
        listener.set_inheritable(False)
        return listener
    settings.make_folders()
    return listening_socket(settings.socket(process))


async def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    stop: asyncio.Event | None = None,
    protocol: type[asyncio.Protocol] | Literal["httptools"] = "httptools",
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`, then finish what is in flight, for five seconds at most."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        http=protocol,
        ws="none",
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        server_header=False,
        date_header=False,
    )
    server = uvicorn.Server(config)
    stopping = stop or stop_signal()

    async def ask_to_stop() -> None:
        await stopping.wait()
        server.should_exit = True

    beside = [asyncio.create_task(ask_to_stop()), asyncio.create_task(lag.watch())]
    # `_serve` and not `serve`: the latter takes the signals for itself and raises them again at the end.
    await server._serve(sockets=[listener])
    for task in beside:
        task.cancel()


def stop_signal() -> asyncio.Event:
    """Set at SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", "text/html")


def _slug(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")
