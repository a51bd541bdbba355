"""`/_banyan/health`: 200 when every process is ready, else 503 naming those that are not. Public, so no details."""

from fastapi import APIRouter, Response

from banyan.infra import http
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state


def router(settings: Settings) -> APIRouter:
    api = APIRouter(include_in_schema=False)

    @api.api_route("/_banyan/health", methods=["GET", "HEAD"])
    async def health() -> Response:
        living = state.read_living(settings)
        if living is None:
            return _answer(503, {"status": "unsupervised", "waiting_for": ["supervisor"]})
        waiting = [process.name for process in living.processes if process.state != "ready"]
        if waiting or not living.ready:
            return _answer(503, {"status": "degraded" if living.ready else "starting", "waiting_for": waiting})
        return _answer(200, {"status": "ready", "processes": [process.name for process in living.processes]})

    return api


def _answer(status: int, body: dict[str, object]) -> Response:
    headers = {"cache-control": "no-store", **({"retry-after": "1"} if status == 503 else {})}
    return http.json_response(body, status, headers)
