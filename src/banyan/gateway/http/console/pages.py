"""The console's addresses: its pages, their live parts, and its buttons."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from banyan.contracts.gateway import Side
from banyan.gateway.adapters.messaging import Messaging
from banyan.gateway.adapters.monitoring import Monitoring
from banyan.gateway.domain.traffic import Traffic
from banyan.gateway.http.console import alarms, charts, figures, lines, map, payloads, stream, waterfall
from banyan.gateway.http.console.buttons import Buttons
from banyan.gateway.http.console.contents import Contents, Page, Values
from banyan.gateway.http.guard import Guard
from banyan.gateway.operations.routes import Routes
from banyan.infra import pages
from banyan.infra.http import REQUEST_ID
from banyan.infra.identity import Caller, SignedOut, Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.infra.supervisor import control
from banyan.kit.errors import Refusal

HOME = "/_banyan/console"
_FOLDER = Path(__file__).parents[2]
_FRAME = ("as-of", "way-back", "tabs", "monitor-away")
_SIDES: dict[str, Side] = {"old": "old", "new": "new"}
_REFUSED_WITHIN = 1.0


class Console:
    """Serves its own assets, so that it stands when the rest does not."""

    def __init__(
        self,
        settings: Settings,
        routes: Routes,
        traffic: Traffic,
        database: Database,
        monitoring: Monitoring,
        messaging: Messaging,
        verifier: Verifier,
        *,
        is_over: Callable[[str], bool],
    ) -> None:
        """`is_over` tells of a session's id whether it has been ended."""
        self._settings = settings
        self._guard = self.guard = Guard(verifier, routes)
        self._verifier = verifier
        self._is_over = is_over
        self._routes = routes
        self._contents = Contents(settings, routes, traffic, database, monitoring, messaging)
        self.watchers = stream.Watchers(self._is_in)
        self._asked: set[asyncio.Task[control.Wish]] = set()
        self._assets = pages.Assets(f"{HOME}/assets", _FOLDER / "assets")
        said = (figures.clock, figures.since, figures.rate, figures.took, figures.size, figures.share)
        of_lines = (lines.moment_of, lines.trace_of, lines.told, lines.request_of, lines.id_of, lines.link_of)
        of_events = (payloads.plain, payloads.short_type, payloads.first_line, payloads.in_a_line, payloads.pieces)
        self._pages = pages.Pages(
            templates=_FOLDER / "templates",
            locales=_FOLDER / "locales",
            assets=self._assets,
            names={
                "home": HOME,
                "geometry": charts,
                "drawing": map,
                "alarms": alarms,
                "waterfall": waterfall,
                "SHORT": payloads.SHORT,
                **{function.__name__: function for function in (*said, *of_lines, *of_events)},
            },
            secure_cookies=settings.url.startswith("https:"),
        )
        self._buttons = Buttons(
            HOME, self._guard, messaging, self._contents.looking, show=self._shown_again, render=self._rendered_whole
        )

    def router(self) -> APIRouter:
        api = APIRouter(include_in_schema=False)
        api.include_router(self._assets.router())
        api.add_api_route(HOME, self._overview, methods=["GET", "HEAD"])
        api.add_api_route(HOME + "/", self._overview, methods=["GET", "HEAD"])
        for name in ("processes", "logs", "traces", "events", "alerts"):
            api.add_api_route(f"{HOME}/{name}", self._shown_page(name), methods=["GET", "HEAD"])
        api.add_api_route(HOME + "/traces/{trace_id}", self._trace, methods=["GET", "HEAD"])
        for name in ("dead", "search"):
            api.add_api_route(f"{HOME}/events/{name}", self._shown_page(name), methods=["GET", "HEAD"])
        api.add_api_route(HOME + "/events/{context}/dead/{letter_id}", self._letter, methods=["GET", "HEAD"])
        api.add_api_route(HOME + "/events/{context}/stored/{event_id}", self._stored, methods=["GET", "HEAD"])
        api.include_router(self._buttons.router())
        api.add_api_route(HOME + "/now", self._now, methods=["GET"])
        api.add_api_route(HOME + "/stream", self._stream, methods=["GET"])
        api.add_api_route(HOME + "/routes/{name}/side", self._move, methods=["POST"])
        api.add_api_route(HOME + "/processes/{name}/restart", self._restart, methods=["POST"])
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

    async def _overview(self, request: Request) -> Response:
        return await self._page(request, "overview")

    def _shown_page(self, name: str) -> Callable[[Request], object]:
        async def page(request: Request) -> Response:
            return await self._page(request, name)

        return page

    async def _page(self, request: Request, name: str) -> Response:
        turned_away = await self._turned_away(request)
        return turned_away or await self._shown(request, self._contents.page(name))

    async def _trace(self, request: Request, trace_id: str) -> Response:
        turned_away = await self._turned_away(request)
        if turned_away is not None:
            return turned_away
        values = await self._contents.trace(trace_id)
        return self._rendered(request, "trace.html", values)

    async def _letter(self, request: Request, context: str, letter_id: str) -> Response:
        turned_away = await self._turned_away(request)
        if turned_away is not None:
            return turned_away
        return await self._rendered_whole(
            request, "letter.html", await self._contents.looking.letter(context, letter_id)
        )

    async def _stored(self, request: Request, context: str, event_id: str) -> Response:
        turned_away = await self._turned_away(request)
        if turned_away is not None:
            return turned_away
        caller = await self._guard.check(request)
        return await self._rendered_whole(
            request, "stored.html", await self._contents.looking.event(context, event_id, caller)
        )

    async def _turned_away(self, request: Request) -> Response | None:
        """Where to go first: to sign in, or back here with a choice that was made by link."""
        try:
            await self._guard.check(request)
        except SignedOut:
            query = f"?{request.url.query}" if request.url.query else ""
            return _onward(self._guard.sign_in_for(request.url.path + query))
        return self._pages.remember(request)

    async def _now(self, request: Request) -> Response:
        await self._guard.check(request)
        page = self._asked_page(request)
        parts = await self._parts(request, page)
        return Response(b"".join(parts.values()), headers={"cache-control": "no-store"}, media_type="text/html")

    async def _stream(self, request: Request) -> Response:
        caller = await self._guard.check(request)
        page = self._asked_page(request)
        key = stream.key_of(request, pages.reader_of(request).locale)
        return stream.Stream(self.watchers, caller, key=key, make=lambda: self._parts(request, page))

    async def _is_in(self, caller: Caller) -> bool:
        return not self._is_over(caller.session_id) and await self._verifier.verify(caller.token) is not None

    async def _move(self, request: Request, name: str) -> Response:
        await self._guard.check(request)
        side = _SIDES.get(str((await request.form()).get("side")))
        if side is None:
            raise HTTPException(422, "The side is old or new.")
        try:
            await self._routes.move(name, side=side)
        except Refusal as refusal:
            return await self._shown(request, self._contents.page("overview"), refusal=refusal)
        return _onward(f"{HOME}#route-{name}")

    async def _kill_switch(self, request: Request) -> Response:
        await self._guard.check(request)
        wanted = (await request.form()).get("switch")
        if wanted not in ("on", "off"):
            raise HTTPException(422, "The switch is on or off.")
        try:
            await self._routes.switch(on=wanted == "on")
        except Refusal as refusal:
            return await self._shown(request, self._contents.page("overview"), refusal=refusal)
        return _onward(HOME)

    async def _restart(self, request: Request, name: str) -> Response:
        """Asked for and not waited for: it may be this very process, and the page shows how it goes."""
        await self._guard.check(request)
        asking = asyncio.create_task(control.ask(self._settings, "restart", name=name))
        self._asked.add(asking)
        asking.add_done_callback(self._answered)
        await asyncio.wait({asking}, timeout=_REFUSED_WITHIN)
        if asking.done() and isinstance(refusal := asking.exception(), Refusal):
            return await self._shown(request, self._contents.page("processes"), refusal=refusal)
        return _onward(f"{HOME}/processes#process-{name}")

    def _answered(self, asking: "asyncio.Task[control.Wish]") -> None:
        self._asked.discard(asking)
        with contextlib.suppress(Exception, asyncio.CancelledError):  # the page shows what became of it
            asking.result()

    def parts_of(self, name: str) -> tuple[str, ...]:
        """The ids of what changes by itself on a page, in the order in which it is sent. Raises PageUnknown."""
        return (*_FRAME, *self._contents.page(name).parts)

    def _asked_page(self, request: Request) -> Page:
        return self._contents.page(request.query_params.get("page", "overview"))

    async def _parts(self, request: Request, page: Page) -> stream.Parts:
        values = await self._contents.values(page, request.query_params)
        return {
            part: bytes(self._pages.render(request, f"parts/{part}.html", **values).body)
            for part in self.parts_of(page.name)
        }

    async def _shown(self, request: Request, page: Page, *, refusal: Refusal | None = None) -> Response:
        values = await self._contents.values(page, request.query_params)
        return self._rendered(request, page.template, values, refusal=refusal)

    async def _shown_again(self, request: Request, name: str, *, refusal: Refusal) -> Response:
        return await self._shown(request, self._contents.page(name), refusal=refusal)

    async def _rendered_whole(
        self, request: Request, template: str, values: Values, *, refusal: Refusal | None = None
    ) -> Response:
        """One event or letter, which does not change while it is looked at."""
        frame = await self._contents.frame("events", {})
        return self._rendered(request, template, {"frame": frame, "now": frame.now, **values}, refusal=refusal)

    def _rendered(self, request: Request, template: str, values: Values, *, refusal: Refusal | None = None) -> Response:
        return self._pages.render(
            request,
            template,
            status=refusal.status if refusal else 200,
            headers={"cache-control": "no-store"},
            refusal=refusal,
            **values,
        )


def _onward(address: str) -> Response:
    return Response(status_code=303, headers={"location": address, "cache-control": "no-store"})
