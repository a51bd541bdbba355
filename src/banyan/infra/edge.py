"""What every request meets first: its id goes to the log, its body is bounded, and what went wrong is written down."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from banyan.infra.settings import Settings
from banyan.infra.shedding import Seats
from banyan.infra.telemetry import faces, figures, tracing
from banyan.kit.errors import Refused

if TYPE_CHECKING:
    from opentelemetry.trace import Span

log = structlog.get_logger()

REQUEST_ID = "x-request-id"
EVENT_STREAM = "text/event-stream"
READY = "/ready"
OF_ITSELF = frozenset((READY, faces.FIGURES, faces.METRICS))
"""Paths where a process speaks about itself: never counted, never traced, never refused for being too many."""
ELSEWHERE = "banyan.elsewhere"
"""A key of the scope: what the answer says is wrong is no failure of the process that says it."""

_READS = frozenset(("GET", "HEAD", "OPTIONS"))
_SLOW_SECONDS = 0.5
_STREAM = EVENT_STREAM.encode()
_TRACEPARENT = tracing.TRACEPARENT.encode()


class BodyTooLarge(Refused):
    """The request's body is larger than this endpoint takes."""

    status = 413


class Edge:
    """Outermost: binds the request id to the log, bounds the body and how much is done at a time, and logs what was
    slow or went wrong. `busy` and `broken` make the answers where the application cannot."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        busy: Callable[[Request], Response],
        broken: Callable[[Request], Response],
        templates: Mapping[Any, str],
    ) -> None:
        self._app = app
        self._templates = templates
        self._seats = Seats(settings.in_flight, patience=settings.in_flight_wait)
        self._busy = busy
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
        exchange = _Exchange(scope, receive, send, self._max_body, self._templates)
        if scope["path"] in OF_ITSELF:
            await self._answer(exchange)
            return
        if not await self._seats.take(write=scope["method"] not in _READS):
            figures.shed()
            await self._busy(Request(scope))(scope, receive, send)
            return
        figures.enter()
        exchange.counted = True
        exchange.seats = self._seats
        exchange.span = tracing.remote(headers.get(_TRACEPARENT, b"").decode("latin-1"), scope["method"], "server", {})
        if exchange.span is None:
            await self._answer(exchange)
        else:
            exchange.span.set_attribute(tracing.REQUEST_ID, request_id)
            with tracing.within(exchange.span):
                await self._answer(exchange)

    async def _answer(self, exchange: "_Exchange") -> None:
        scope = exchange.scope
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as fault:
            exchange.fault = fault
            log.exception("request failed", method=scope["method"], path=_told(scope))
            if exchange.status == 0:
                await self._broken(Request(scope))(scope, exchange.receive, exchange.send)
            return
        finally:
            exchange.end()
        seconds, status = perf_counter() - exchange.started, exchange.status
        wrong = (status >= 500 and ELSEWHERE not in scope) or (seconds > _SLOW_SECONDS and not exchange.endless)
        if wrong or (self._log_all and exchange.counted):
            tell = log.warning if wrong else log.info
            tell("request", method=scope["method"], path=_told(scope), status=status, ms=round(seconds * 1000, 1))


def _told(scope: Scope) -> str:
    """The path as it may be written down: a token in it is as good as a password."""
    path: str = scope["path"]
    token = scope.get("path_params", {}).get("token")
    return path.replace(token, "(secret)") if token else path


class _Exchange:
    """A request and its answer: what is to be known of them when they are over."""

    __slots__ = (
        "_ended",
        "_most",
        "_receive",
        "_send",
        "_taken",
        "_templates",
        "counted",
        "endless",
        "fault",
        "scope",
        "seats",
        "span",
        "started",
        "status",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, most: int, templates: Mapping[Any, str]) -> None:
        self.scope = scope
        self.status = 0
        self.endless = False
        self.counted = False
        self.fault: Exception | None = None
        self.span: Span | None = None
        self.seats: Seats | None = None
        self.started = perf_counter()
        self._receive = receive
        self._send = send
        self._most = most
        self._templates = templates
        self._taken = 0
        self._ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > self._most:
            raise BodyTooLarge(f"At most {self._most} bytes are taken here.")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if any(name == b"content-type" and value.startswith(_STREAM) for name, value in message["headers"]):
                self.endless = True
                self.end()  # what remains is open, not in work: a stream has answered when it begins
        await self._send(message)

    def end(self) -> None:
        """Count it, once."""
        if not self.counted or self._ended:
            return
        self._ended = True
        figures.leave()
        if self.seats is not None:
            self.seats.give_back()
        method, status = self.scope["method"], self.status
        route = self._templates.get(self.scope.get("endpoint"), figures.UNMATCHED)
        failed = (status >= 500 and ELSEWHERE not in self.scope) or status == 0 or self.fault is not None
        figures.LEDGER.request(method, route, status).note(perf_counter() - self.started, failed=failed)
        if self.span is not None:
            self.span.update_name(f"{method} {route}")
            self.span.set_attributes(
                {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            )
            if self.endless:
                self.span.set_attribute(tracing.STREAM, True)
            if failed:
                tracing.fail(self.span, self.fault)
            self.span.end()


def problem(status: int, slug: str, detail: str, **more: object) -> Response:
    """An RFC 9457 problem document; `slug` is its stable `type`."""
    body = {"type": f"/_banyan/problems/{slug}", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body.update({key: value for key, value in more.items() if value})
    headers = {"retry-after": "1"} if status == 503 else {}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/problem+json")
