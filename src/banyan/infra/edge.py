"""What every request meets first: its id goes to the log, its body is bounded, and what went wrong is written down."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from banyan.infra.settings import Settings
from banyan.kit.errors import Refused

log = structlog.get_logger()

REQUEST_ID = "x-request-id"
EVENT_STREAM = "text/event-stream"
READY = "/ready"

_SLOW_SECONDS = 0.5


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
        status = 0
        endless = False
        started = asyncio.get_running_loop().time()
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
                endless = (b"content-type", EVENT_STREAM.encode()) in message["headers"]
            await send(message)

        try:
            await self._app(scope, receive_bounded, send_noting)
        except Exception:
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if status == 0:
                await self._broken(Request(scope))(scope, receive, send)
            return
        seconds = asyncio.get_running_loop().time() - started
        wrong = status >= 500 or (seconds > _SLOW_SECONDS and not endless)
        if wrong or (self._log_all and scope["path"] != READY):
            tell = log.warning if wrong else log.info
            tell("request", method=scope["method"], path=scope["path"], status=status, ms=round(seconds * 1000, 1))


def problem(status: int, slug: str, detail: str, **more: object) -> Response:
    """An RFC 9457 problem document; `slug` is its stable `type`."""
    body = {"type": f"/_banyan/problems/{slug}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body.update({key: value for key, value in more.items() if value})
    headers = {"retry-after": "1"} if status == 503 else {}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/problem+json")
