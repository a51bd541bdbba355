"""What the console shows, gathered from what the control plane knows; it needs no database to be there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from banyan.contracts.gateway import RouteChange, RouteRow, Side
from banyan.gateway import queries
from banyan.gateway.domain import routes as rules
from banyan.gateway.domain.traffic import SIDES, Traffic
from banyan.gateway.http.charts import Chart, chart
from banyan.gateway.operations.routes import Routes
from banyan.infra.pages import KOREA
from banyan.infra.postgres import DatabaseAway
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.infra.supervisor.state import ChildState

Group = Literal["door", "old", "new", "data"]


@dataclass(frozen=True, slots=True)
class Line:
    """A route as the table wants it, and who answers it just now (the kill switch may differ)."""

    row: RouteRow
    path: str
    answered_by: Side
    may_move: bool


@dataclass(frozen=True, slots=True)
class View:
    at: str
    url: str
    version: str
    legacy: str
    processes: dict[Group, list[ChildState]]
    troubled: list[ChildState]
    supervised: bool
    lines: list[Line] | None
    rest: Side
    revision: int | None
    locked: bool
    database_away: bool
    locked_by: str
    refused: str | None
    serving: str | None
    pending: bool
    kill_switch: bool
    requests: Chart
    p99: Chart
    errors: dict[Side, float]
    changes: Sequence[RouteChange] | None


def gather(
    settings: Settings, routes: Routes, traffic: Traffic, *, changes: Sequence[RouteChange] | None, now: datetime
) -> View:
    """Everything on the page, as it is now."""
    living = state.read_living(settings)
    children = living.processes if living else []
    points = {side: traffic.points(side) for side in SIDES}
    latest = {side: points[side][-1].errors if points[side] else 0.0 for side in SIDES}
    return View(
        at=clock(now),
        url=settings.url,
        version=living.version if living else "",
        legacy=settings.legacy_url,
        processes=_grouped(children),
        troubled=[child for child in children if child.state != "ready"],
        supervised=living is not None,
        lines=_lines(routes),
        rest="new" if settings.no_legacy else "old",
        revision=routes.known.revision if routes.known else None,
        locked=routes.locked is not None,
        database_away=isinstance(routes.locked, DatabaseAway),
        locked_by=str(routes.locked or ""),
        refused=routes.refused,
        serving=routes.applied.version if routes.applied else None,
        pending=routes.applied.pending if routes.applied else False,
        kill_switch=routes.kill_switch_is_on(),
        requests=chart(points, lambda point: point.requests, now=now, clock=clock),
        p99=chart(points, lambda point: point.p99, now=now, clock=clock),
        errors=latest,
        changes=changes,
    )


def clock(at: datetime) -> str:
    """The time of day, to the second."""
    return f"{at.astimezone(KOREA):%H:%M:%S}"


def since(at: datetime, now: datetime) -> str:
    """A time that does not change while it is looked at: of today the time, of earlier the date as well."""
    local, today = at.astimezone(KOREA), now.astimezone(KOREA).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%m-%d %H:%M}"


def _lines(routes: Routes) -> list[Line] | None:
    if routes.known is None:
        return None
    killed = routes.kill_switch_is_on()
    return [
        Line(
            row=row,
            path=rules.readable(row.path) + (f"?{row.query}" if row.query else ""),
            answered_by="old" if killed and row.old_twin else row.side,
            may_move=row.old_twin if row.side == "new" else row.service is not None,
        )
        for row in queries.route_rows(routes.known.routes)
    ]


def _grouped(children: Sequence[ChildState]) -> dict[Group, list[ChildState]]:
    groups: dict[Group, list[ChildState]] = {"door": [], "old": [], "new": [], "data": []}
    for child in children:
        groups[_group(child)].append(child)
    return groups


def _group(child: ChildState) -> Group:
    if child.kind == "postgres":
        return "data"
    if child.kind == "envoy" or child.name == "gateway":
        return "door"
    return "old" if child.name == "old-site" else "new"
