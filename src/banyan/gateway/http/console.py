"""The operator's page, `/_banyan/console`: what runs, who answers what, how it goes, and the way back."""

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from banyan.contracts.gateway import RouteChange, Side
from banyan.gateway import queries
from banyan.gateway.domain.traffic import Traffic
from banyan.gateway.http import charts, view
from banyan.gateway.http.guard import Guard
from banyan.gateway.operations.routes import Routes
from banyan.infra import pages
from banyan.infra.http import REQUEST_ID
from banyan.infra.identity import SignedOut, Verifier
from banyan.infra.postgres import Database, DatabaseAway
from banyan.infra.settings import Settings
from banyan.kit.errors import Refusal

HOME = "/_banyan/console"
_FOLDER = Path(__file__).parent.parent
_CHANGES_SHOWN = 10
_PATIENCE_SECONDS = 0.5
_SIDES: dict[str, Side] = {"old": "old", "new": "new"}


class Console:
    """Serves its own assets, so that it stands when the rest does not."""

    def __init__(
        self, settings: Settings, routes: Routes, traffic: Traffic, database: Database, verifier: Verifier
    ) -> None:
        self._settings = settings
        self._guard = Guard(verifier, routes)
        self._routes = routes
        self._traffic = traffic
        self._database = database
        self._changes: list[RouteChange] | None = None
        self._assets = pages.Assets(f"{HOME}/assets", _FOLDER / "assets")
        self._pages = pages.Pages(
            templates=_FOLDER / "templates",
            locales=_FOLDER / "locales",
            assets=self._assets,
            names={"home": HOME, "geometry": charts, "clock": view.clock, "since": view.since},
            secure_cookies=settings.url.startswith("https:"),
        )

    def router(self) -> APIRouter:
        api = APIRouter(include_in_schema=False)
        api.include_router(self._assets.router())
        api.add_api_route(HOME, self._page, methods=["GET", "HEAD"])
        api.add_api_route(HOME + "/", self._page, methods=["GET", "HEAD"])
        api.add_api_route(HOME + "/now", self._now, methods=["GET"])
        api.add_api_route(HOME + "/routes/{name}/side", self._move, methods=["POST"])
        api.add_api_route(HOME + "/kill-switch", self._kill_switch, methods=["POST"])
        return api

    def error_page(self, request: Request, status: int, slug: str, detail: str) -> Response:
        return self._pages.render(
            request,
            "error.html",
            status=status,
            code=status,
            slug=slug,
            detail=detail,
            request_id=request.headers.get(REQUEST_ID, ""),
        )

    async def _page(self, request: Request) -> Response:
        try:
            await self._guard.check(request)
        except SignedOut:
            return _onward(self._guard.sign_in_for(HOME))
        return self._pages.remember(request) or await self._shown(request, "console.html")

    async def _now(self, request: Request) -> Response:
        await self._guard.check(request)
        return await self._shown(request, "now.html")

    async def _move(self, request: Request, name: str) -> Response:
        await self._guard.check(request)
        side = _SIDES.get(str((await request.form()).get("side")))
        if side is None:
            raise HTTPException(422, "The side is old or new.")
        try:
            await self._routes.move(name, side=side)
        except Refusal as refusal:
            return await self._shown(request, "console.html", refusal=refusal)
        return _onward(f"{HOME}#route-{name}")

    async def _kill_switch(self, request: Request) -> Response:
        await self._guard.check(request)
        wanted = (await request.form()).get("switch")
        if wanted not in ("on", "off"):
            raise HTTPException(422, "The switch is on or off.")
        try:
            await self._routes.switch(on=wanted == "on")
        except Refusal as refusal:
            return await self._shown(request, "console.html", refusal=refusal)
        return _onward(HOME)

    async def _shown(self, request: Request, template: str, *, refusal: Refusal | None = None) -> Response:
        now = datetime.now(UTC)
        seen = view.gather(self._settings, self._routes, self._traffic, changes=await self._latest_changes(), now=now)
        return self._pages.render(
            request,
            template,
            status=refusal.status if refusal else 200,
            headers={"cache-control": "no-store"},
            view=seen,
            now=now,
            refusal=refusal,
        )

    async def _latest_changes(self) -> list[RouteChange] | None:
        """The last lines of the log; what was seen last while PostgreSQL is away, without waiting for it."""
        if self._routes.locked is None:
            with contextlib.suppress(DatabaseAway, TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    self._changes = (await queries.route_changes(self._database, limit=_CHANGES_SHOWN)).items
        return self._changes


def _onward(address: str) -> Response:
    return Response(status_code=303, headers={"location": address, "cache-control": "no-store"})
