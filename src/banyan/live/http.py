"""`/api/v1/courses/{slug}/live`: a course's number of learners, as it rises."""

import asyncio
import contextlib
import secrets
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.types import Receive, Scope, Send

from banyan.infra import http, streams
from banyan.infra.postgres import Database, DatabaseAway
from banyan.infra.settings import Settings
from banyan.live import domain, queries
from banyan.live.domain import Count, Hub, Watcher

_HEADERS = (
    (b"content-type", http.EVENT_STREAM.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)
_BEAT = b":\n\n"


def router(hub: Hub, database: Database, settings: Settings) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["live"])

    @routes.get(
        "/courses/{slug}/live",
        response_class=Response,
        operation_id="live",
        summary="A course's number of learners, now and whenever it changes, as a stream of events.",
        responses={
            200: {"content": {http.EVENT_STREAM: {}}, "description": "Events `learners` with `{count}`."},
            404: {"description": "No course can have this address."},
            503: {"description": "Too many are watching; `Retry-After` says when to come again."},
        },
    )
    async def live(
        request: Request,
        slug: str,
        last_event_id: Annotated[str | None, Header(description="The `id` of the last event received.")] = None,
        last_event_id_in_query: Annotated[
            str | None, Query(alias="last-event-id", description="The same, for who cannot send headers.")
        ] = None,
    ) -> Response:
        last = last_event_id or last_event_id_in_query
        return _Stream(
            hub,
            database,
            slug=domain.watchable(slug),
            address=http.client_address(request, trusted_hops=settings.trusted_hops),
            after=domain.position_in(last),
            retry=settings.live_retry,
        )

    return routes


class _Stream(Response):
    """One watcher's stream, from the first count to the goodbye."""

    def __init__(
        self, hub: Hub, database: Database, *, slug: str, address: str, after: int | None, retry: float
    ) -> None:
        super().__init__()
        self._hub = hub
        self._database = database
        self._slug = slug
        self._address = address
        self._after = after
        self._retry = retry
        self._woken = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        now = asyncio.get_running_loop().time()
        watcher = self._hub.join(
            self._slug, address=self._address, wake=self._woken.set, cut=streams.cut(scope), now=now
        )
        watching = asyncio.create_task(_until_gone(receive, watcher))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await _send(send, watcher, _retry(self._retry))
            await self._tell(send, watcher)
            await send({"type": "http.response.body", "body": _retry(self._retry), "more_body": False})
        finally:
            self._hub.leave(watcher)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _tell(self, send: Send, watcher: Watcher) -> None:
        await self._begin(send, watcher)
        self._woken.set()
        while not watcher.over:
            await self._woken.wait()
            self._woken.clear()
            if self._after is not None:
                await self._begin(send, watcher)
            news = watcher.news() if self._after is None else None
            if news is not None:
                await _send(send, watcher, _event(news))
            elif watcher.beat:
                await _send(send, watcher, _BEAT)

    async def _begin(self, send: Send, watcher: Watcher) -> None:
        """Find out the count, and tell what has been missed; without the database that waits until it is back."""
        latest = None
        with contextlib.suppress(DatabaseAway):
            if self._after is not None:
                latest, missed = await queries.missed(self._database, self._slug, after=self._after)
                watcher.position, self._after = missed[-1].position if missed else self._after, None
                if missed:
                    await _send(send, watcher, b"".join(map(_event, missed)))
            elif watcher.course.latest is None and not watcher.course.asked:
                latest = await self._ask(watcher)
        if latest is not None:
            self._hub.tell(self._slug, latest)

    async def _ask(self, watcher: Watcher) -> Count | None:
        """The count, asked for by the first of all who wait for it."""
        course = watcher.course
        course.asked = True
        try:
            return await queries.latest_of(self._database, course.slug)
        except BaseException:
            course.asked = False
            raise


async def _until_gone(receive: Receive, watcher: Watcher) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        watcher.end()


async def _send(send: Send, watcher: Watcher, text: bytes) -> None:
    loop = asyncio.get_running_loop()
    watcher.beat = False
    watcher.sending_since = loop.time()
    await send({"type": "http.response.body", "body": text, "more_body": True})
    watcher.sending_since = None
    watcher.quiet_since = loop.time()


def _event(count: Count) -> bytes:
    return b'event: learners\nid: %d\ndata: {"count": %d}\n\n' % (count.position, count.learners)


def _retry(seconds: float) -> bytes:
    """When to come again, by chance, so that not everybody comes at once after a restart."""
    shortest = max(1, round(seconds * 1000))
    return b"retry: %d\n\n" % (shortest + secrets.randbelow(shortest))
