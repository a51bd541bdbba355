"""What every request meets first: its id goes to the log, its body is bounded, and what went wrong is written down."""

from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from banyan.infra.settings import Settings
from banyan.infra.telemetry import faces, figures
from banyan.kit.errors import Refused

log = structlog.get_logger()

REQUEST_ID = "x-request-id"
EVENT_STREAM = "text/event-stream"
READY = "/ready"
OF_ITSELF = frozenset((READY, faces.FIGURES, faces.METRICS))
"""Paths where a process speaks about itself: never counted, never traced, never refused for being too many."""

_SLOW_SECONDS = 0.5
_STREAM = EVENT_STREAM.encode()


class BodyTooLarge(Refused):
    """The request's body is larger than this endpoint takes."""

    status = 413


class Edge:
    """Outermost: binds the request id to the log, bounds the body, and logs what was slow or went wrong."""

    def __init__(self, app: ASGIApp, *, settings: Settings, broken: Callable[[Request], Response]) -> None:
        self._app = app
        self._max_body = settings.max_body
        self._log_all = settings.request_log == "all"
        self._broken = broken

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = headers.get(REQUEST_ID.encode(), b"").decode("latin-1")
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body:
            await problem(413, "body-too-large", f"At most {self._max_body} bytes are taken here.")(
                scope, receive, send
            )
            return
        path = scope["path"]
        status = 0
        endless = False
        started = perf_counter()
        taken = 0

        async def receive_bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max_body:
                raise BodyTooLarge(f"At most {self._max_body} bytes are taken here.")
            return message

        async def send_noting(message: Message) -> None:
            nonlocal status, endless
            if message["type"] == "http.response.start":
                status = message["status"]
                endless = any(name == b"content-type" and v.startswith(_STREAM) for name, v in message["headers"])
                if endless and counted:
                    # What remains is open, not in work; a stream has answered when it begins.
                    _count(scope, status, perf_counter() - started)
            await send(message)

        counted = path not in OF_ITSELF
        if counted:
            figures.enter()
        try:
            await self._app(scope, receive_bounded, send_noting)
        except Exception:
            log.exception("request failed", method=scope["method"], path=path)
            if status == 0:
                status = 500
                await self._broken(Request(scope))(scope, receive, send)
            return
        finally:
            seconds = perf_counter() - started
            if counted and not endless:
                _count(scope, status, seconds)
        wrong = status >= 500 or (seconds > _SLOW_SECONDS and not endless)
        if wrong or (self._log_all and counted):
            tell = log.warning if wrong else log.info
            tell("request", method=scope["method"], path=path, status=status, ms=round(seconds * 1000, 1))


def _count(scope: Scope, status: int, seconds: float) -> None:
    figures.leave()
    route = getattr(scope.get("route"), "path", figures.UNMATCHED)
    figures.LEDGER.request(scope["method"], route, status).note(seconds, failed=status >= 500 or status == 0)


def problem(status: int, slug: str, detail: str, **more: object) -> Response:
    """An RFC 9457 problem document; `slug` is its stable `type`."""
    body = {"type": f"/_banyan/problems/{slug}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body.update({key: value for key, value in more.items() if value})
    headers = {"retry-after": "1"} if status == 503 else {}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/problem+json")
