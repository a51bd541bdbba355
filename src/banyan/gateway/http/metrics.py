"""`/_banyan/metrics`: the Prometheus figures of everything, for an operator or whoever has the token for it."""

import hmac
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Request, Response

from banyan.clients.monitor import MonitorClient
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings

TOKEN = "metrics-token"  # noqa: S105 # the name of a secret, not one
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def router(settings: Settings, check_operator: Callable[[Request], Awaitable[object]]) -> APIRouter:
    """`check_operator` raises SignedOut and NotPermitted."""
    api = APIRouter(include_in_schema=False)
    token = secret(settings.secrets, TOKEN)

    @api.get("/_banyan/metrics")
    async def metrics(request: Request) -> Response:
        if not _has(request, token):
            await check_operator(request)
        monitor = MonitorClient(settings)
        try:
            text = await monitor.metrics()
        finally:
            await monitor.close()
        return Response(text, media_type=_TEXT, headers={"cache-control": "no-store"})

    return api


def _has(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())
