"""`/replays` and `/rebuilds`: what operators set going, see and end."""

from uuid import UUID

from fastapi import APIRouter, Response

from banyan.contracts.messaging import ReplayWish
from banyan.infra import http
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


def _uuid(text: str, unknown: type[Exception]) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise unknown from None
