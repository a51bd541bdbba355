"""The caller's half: one small connection pool on a Unix socket, every call under a deadline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Generic, TypeVar

import aiohttp
import msgspec
import structlog

from banyan.infra.shedding import Seats
from banyan.infra.telemetry import tracing
from banyan.infra.telemetry.figures import LEDGER
from banyan.kit.errors import Refusal, Unavailable

T = TypeVar("T")

_TURN_SECONDS = 1.0


class ServiceAway(Unavailable):
    """A service that this page needs does not answer just now; try again in a moment."""


class ServiceRefused(Refusal):
    """A service refused; `status`, `slug` and `detail` are those of its problem document."""

    def __init__(self, status: int, slug: str, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
        self._slug = slug

    @property
    def slug(self) -> str:
        return self._slug


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """An answer with its status and its Set-Cookie headers, exactly as they came."""

    value: T
    status: int
    cookies: list[str]


class HttpClient:
    """Calls one service, `limit` calls at a time. `host` is the service's name on the private listener; `timeout` is
    seconds in all."""

    def __init__(self, socket_path: Path, host: str, *, timeout: float = 5.0, limit: int = 64) -> None:
        self._socket_path = socket_path
        self._base = f"http://{host}"
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._limit = limit
        self._seats = Seats(limit, patience=_TURN_SECONDS)
        self._session: aiohttp.ClientSession | None = None
        self._host = host
        self._meter = LEDGER.call(host)

    async def get(self, path: str, kind: type[T], *, params: Mapping[str, str] | None = None) -> T:
        return await self.call("GET", path, kind, params=params)

    async def call(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """The decoded answer. Raises ServiceRefused for 4xx, ServiceAway for anything else that is not 2xx."""
        answer = await self.exchange(method, path, kind, params=params, body=body, headers=headers)
        return answer.value

    async def exchange(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer[T]:
        """As `call`, for a caller who needs more of the answer than its body."""
        # A service that hangs must not fill us with those who wait for it, or its trouble becomes everybody's.
        if not await self._seats.take(write=method != "GET"):
            raise ServiceAway
        try:
            return await self._exchange(method, path, kind, params=params, body=body, headers=headers)
        finally:
            self._seats.give_back()

    async def _exchange(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        params: Mapping[str, str] | None,
        body: object,
        headers: Mapping[str, str] | None,
    ) -> Answer[T]:
        sent = {"accept": "application/json", **_request_id(), **(headers or {})}
        data = None
        if body is not None:
            data = msgspec.json.encode(body)
            sent["content-type"] = "application/json"
        span = None
        if tracing.CURRENT.get() is not None:
            span = tracing.child(f"{method} {self._host}", "client", {"http.request.method": method})
        if span is not None:
            sent.update(tracing.headers_of(span))
        started = perf_counter()
        status = 0
        try:
            async with self._open().request(
                method, self._base + path, params=params, data=data, headers=sent, allow_redirects=False
            ) as answer:
                content = await answer.read()
                status = answer.status
                cookies = answer.headers.getall("set-cookie", [])
                wait = _seconds(answer.headers.get("retry-after", ""))
        except (aiohttp.ClientError, OSError, TimeoutError) as fault:
            raise ServiceAway from fault
        finally:
            failed = not 200 <= status < 500
            self._meter.note(perf_counter() - started, failed=failed)
            if span is not None:
                span.set_attribute("http.response.status_code", status)
                if failed:
                    tracing.fail(span)
                span.end()
        if 400 <= status < 500:
            raise _refusal(status, content, wait)
        if not 200 <= status < 300:
            raise ServiceAway(_refusal(status, content, wait).detail if status >= 500 else None)
        if kind is type(None):
            return Answer(kind(), status, cookies)
        if kind is bytes:
            return Answer(msgspec.convert(content, kind), status, cookies)
        try:
            return Answer(msgspec.json.decode(content, type=kind), status, cookies)
        except msgspec.DecodeError as fault:
            raise ServiceAway from fault

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.UnixConnector(path=str(self._socket_path), limit=self._limit)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _request_id() -> dict[str, str]:
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return {"x-request-id": request_id} if request_id else {}


def _seconds(retry_after: str) -> int | None:
    return int(retry_after) if retry_after.isdecimal() and len(retry_after) < 9 else None


def _refusal(status: int, content: bytes, retry_after: int | None) -> ServiceRefused:
    try:
        document = msgspec.json.decode(content)
        slug = str(document["type"]).rsplit("/", 1)[-1]
        return ServiceRefused(status, slug, str(document["detail"]), retry_after=retry_after)
    except (msgspec.DecodeError, KeyError, TypeError):
        return ServiceRefused(status, "refused", f"The service answered {status}.", retry_after=retry_after)
