"""What each page shows, gathered anew at each look. A page is a template and its parts, which change by themselves."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from banyan.contracts.gateway import RouteChange
from banyan.contracts.monitor import Now
from banyan.gateway import queries
from banyan.gateway.adapters.messaging import Messaging
from banyan.gateway.adapters.monitoring import Known, Monitoring
from banyan.gateway.domain.traffic import Traffic
from banyan.gateway.http.console import alarms, processes, scene, view
from banyan.gateway.http.console.events import Events, Toll
from banyan.gateway.http.console.figures import clock
from banyan.gateway.http.console.looking import Looking
from banyan.gateway.http.console.waterfall import waterfall
from banyan.gateway.operations.routes import Routes
from banyan.infra.postgres import Database, DatabaseAway
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.kit.errors import NotFound

Query = Mapping[str, str]
Values = dict[str, Any]  # by the names that the templates use

CHANGES_SHOWN = 10
LINES_SHOWN = 100
TRACES_SHOWN = 50
OF_EVENTS = ("events", "dead", "search")
LEVELS = ("info", "warning", "error")
_LONGEST_WORDS = 200
_LONGEST_CURSOR = 4000
_PATIENCE_SECONDS = 0.5


class PageUnknown(NotFound):
    """The console has no such page."""


@dataclass(frozen=True, slots=True)
class Page:
    """`parts` are ids of elements, each with a template of its name in `parts/`."""

    name: str
    values: Callable[[Query], Awaitable[Values]]
    parts: tuple[str, ...]

    @property
    def template(self) -> str:
        return f"{self.name}.html"


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands on every page."""

    page: str
    now: datetime
    at: str
    url: str
    version: str
    supervised: bool
    kill_switch: bool
    rows: list[processes.Row]
    known: Known[Now]
    query: Query
    toll: Toll

    @property
    def tab(self) -> str:
        return "events" if self.page in OF_EVENTS else self.page

    @property
    def firing(self) -> int:
        found = self.known.value.alerts if self.known.value else []
        return sum(alert.state == "firing" for alert in found)

    @property
    def untold_dead(self) -> bool:
        """Whether there are dead letters that no alert tells of: its rule may be gone, or monitor."""
        found = self.known.value.alerts if self.known.value and not self.known.away else []
        return self.toll.dead > 0 and not any(
            alert.state == "firing" and alarms.figure(alert) == "queue.dead" for alert in found
        )

    @property
    def wrong(self) -> list[processes.Row]:
        """Processes that are not ready."""
        return [row for row in self.rows if row.now.state != "ready"]


class Contents:
    def __init__(
        self,
        settings: Settings,
        routes: Routes,
        traffic: Traffic,
        database: Database,
        monitoring: Monitoring,
        messaging: Messaging,
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._traffic = traffic
        self._database = database
        self._monitoring = monitoring
        self._changes: list[RouteChange] | None = None
        self._events = Events(monitoring, messaging)
        self.looking = Looking(messaging)
        pages = (
            Page("overview", self._overview, ("trouble", "map", "routes", "figures", "changes")),
            Page("processes", self._processes, ("processes",)),
            Page("logs", self._logs, ("lines",)),
            Page("traces", self._traces, ("slowest",)),
            Page("events", self._events.now, ("event-tabs", "toll", "consumers", "telling", "work", "flow")),
            Page("dead", self._events.dead, ("event-tabs", "letters")),
            Page("search", self.looking.search, ()),
            Page("alerts", self._alerts, ("firing", "rules")),
        )
        self._pages = {page.name: page for page in pages}

    def page(self, name: str) -> Page:
        """Raises PageUnknown."""
        found = self._pages.get(name)
        if found is None:
            raise PageUnknown
        return found

    async def values(self, page: Page, query: Query) -> Values:
        frame = await self.frame(page.name, query)
        return {"frame": frame, "now": frame.now, **await page.values(query)}

    async def frame(self, name: str, query: Query) -> Frame:
        now = datetime.now(UTC)
        living = state.read_living(self._settings)
        known, toll = await asyncio.gather(self._monitoring.now(), self._events.toll())
        return Frame(
            page=name,
            now=now,
            at=clock(now),
            url=self._settings.url,
            version=living.version if living else "",
            supervised=living is not None or (known.value is not None and known.value.supervised),
            kill_switch=self._routes.kill_switch_is_on(),
            rows=processes.rows(living, known.value),
            known=known,
            query=query,
            toll=toll,
        )

    async def trace(self, trace_id: str) -> Values:
        """One request. Raises ServiceRefused for one that is not kept."""
        known = await self._monitoring.trace(trace_id)
        frame = await self.frame("traces", {})
        drawn = waterfall(known.value) if known.value else None
        return {"frame": frame, "now": frame.now, "trace": known.value, "trace_id": trace_id, "drawn": drawn}

    async def _overview(self, query: Query) -> Values:
        living, known = state.read_living(self._settings), await self._monitoring.now()
        changes = await self._latest_changes()
        return {
            "view": view.gather(self._settings, self._routes, self._traffic, changes=changes, now=datetime.now(UTC)),
            "scene": scene.scene(
                processes.rows(living, known.value), self._monitoring.arrows(), old_site=not self._settings.no_legacy
            ),
        }

    async def _processes(self, query: Query) -> Values:
        return {}

    async def _logs(self, query: Query) -> Values:
        asked = {name: query.get(name, "")[:_LONGEST_WORDS] for name in ("q", "process", "request_id")}
        level = query.get("level", "")
        asked["level"] = level if level in LEVELS else ""
        after = query.get("after", "")[:_LONGEST_CURSOR]
        lines = await self._monitoring.logs(**asked, after=after or None, limit=LINES_SHOWN)
        return {"lines": lines, "asked": asked, "after": after, "levels": LEVELS}

    async def _traces(self, query: Query) -> Values:
        process = query.get("process", "")[:_LONGEST_WORDS]
        request_id = query.get("request_id", "")[:_LONGEST_WORDS]
        errors = query.get("errors") == "1"
        found = await self._monitoring.traces(process=process, errors=errors, request_id=request_id, limit=TRACES_SHOWN)
        longest = max((head.took_ms for head in found.value.items), default=0.0) if found.value else 0.0
        return {
            "traces": found,
            "process": process,
            "errors": errors,
            "request_id": request_id,
            "longest": max(longest, 0.001),
        }

    async def _alerts(self, query: Query) -> Values:
        return {"alerts": await self._monitoring.alerts()}

    async def _latest_changes(self) -> list[RouteChange] | None:
        """The last lines of the log; what was seen last while PostgreSQL is away, without waiting for it."""
        if self._routes.locked is None:
            with contextlib.suppress(DatabaseAway, TimeoutError):
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    self._changes = (await queries.route_changes(self._database, limit=CHANGES_SHOWN)).items
        return self._changes
