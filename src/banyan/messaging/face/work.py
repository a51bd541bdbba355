"""`/replays` and `/rebuilds`: what operators set going, see and end."""

from uuid import UUID

from fastapi import APIRouter, Response

from banyan.contracts.messaging import ReplayWish
from banyan.infra import http
from banyan.messaging.work.rebuilds import Rebuilds, RebuildUnknown
from banyan.messaging.work.replays import Replays, ReplayUnknown


def replays_router(replays: Replays) -> APIRouter:
    routes = APIRouter()

    @routes.post("/replays")
    async def ask(wish: ReplayWish) -> Response:
        return http.json_response(await replays.ask(wish), 200 if wish.dry_run else 201)

    @routes.get("/replays")
    async def listed() -> Response:
        return http.json_response(await replays.latest())

    @routes.delete("/replays/{replay_id}", status_code=204)
    async def cancel(replay_id: str) -> Response:
        await replays.cancel(_uuid(replay_id, ReplayUnknown))
        return Response(status_code=204)

    return routes


def rebuilds_router(rebuilds: Rebuilds) -> APIRouter:
    routes = APIRouter()

    @routes.post("/rebuilds/{consumer}")
    async def begin(consumer: str) -> Response:
        return http.json_response(await rebuilds.begin(consumer), 201)

    @routes.get("/rebuilds")
    async def listed() -> Response:
        return http.json_response(await rebuilds.latest())

    @routes.delete("/rebuilds/{rebuild_id}", status_code=204)
    async def cancel(rebuild_id: str) -> Response:
        await rebuilds.cancel(_uuid(rebuild_id, RebuildUnknown))
        return Response(status_code=204)

    return routes


def _uuid(text: str, unknown: type[Exception]) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise unknown from None
