"""`/events` and `/stream`: what a context's store and archive have."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Query, Response

from banyan.infra import http
from banyan.kit import times
from banyan.kit.errors import Refused
from banyan.messaging.store.reading import EventUnknown, Search, Store

_MOST_LISTED = 100
_MOST_STREAMED = 1_000
_LONGEST_TYPES = 10_000


class NoSuchPlace(Refused):
    """`after` is not one that this list gave out. Take it from `next` of the page before, unchanged."""


def router(store: Store, context: str) -> APIRouter:
    routes = APIRouter()

    @routes.get("/events")
    async def newest(
        kind: str = Query("", alias="type", max_length=200),
        key: str = Query("", max_length=200),
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        limit: int = Query(20, ge=1, le=_MOST_LISTED),
    ) -> Response:
        search = Search(kind=kind, key=key, since=times.bounded(since), until=times.bounded(until))
        return http.json_response(await store.newest(search, after=_place(after), limit=limit))

    @routes.get("/events/{event_id}")
    async def one(event_id: str) -> Response:
        try:
            known = UUID(event_id)
        except ValueError:
            raise EventUnknown(context, event_id[:60]) from None
        return http.json_response(await store.event(known))

    @routes.get("/stream")
    async def stream(
        types: str = Query("", max_length=_LONGEST_TYPES),
        after: int = Query(0, ge=0, lt=1 << 63),
        limit: int = Query(500, ge=1, le=_MOST_STREAMED),
    ) -> Response:
        kinds = [kind for kind in types.split(",") if kind]
        return http.json_response(await store.stream(kinds, after=after, limit=limit))

    return routes


def _place(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise NoSuchPlace from None
