"""What the console shows of the control plane itself; it needs no database to be there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from banyan.contracts.gateway import RouteChange, RouteRow, Side
from banyan.gateway import queries
from banyan.gateway.domain import routes as rules
from banyan.gateway.domain.traffic import SIDES, Traffic
from banyan.gateway.http.console.charts import Chart, chart
from banyan.gateway.http.console.figures import clock
from banyan.gateway.operations.routes import Routes
from banyan.infra.postgres import DatabaseAway
from banyan.infra.settings import Settings


@dataclass(frozen=True, slots=True)
class Line:
    """A route as the table wants it, and who answers it just now (the kill switch may differ)."""

    row: RouteRow
    path: str
    answered_by: Side
    may_move: bool


@dataclass(frozen=True, slots=True)
class View:
    legacy: str
    lines: list[Line] | None
    rest: Side
    revision: int | None
    locked: bool
    database_away: bool
    locked_by: str
    refused: str | None
    serving: str | None
    pending: bool
    requests: Chart
    p99: Chart
    errors: dict[Side, float]
    changes: Sequence[RouteChange] | None


def gather(
    settings: Settings, routes: Routes, traffic: Traffic, *, changes: Sequence[RouteChange] | None, now: datetime
) -> View:
    """The route table and its traffic, as they are now."""
    points = {side: traffic.points(side) for side in SIDES}
    return View(
        legacy=settings.legacy_url,
        lines=_lines(routes),
        rest="new" if settings.no_legacy else "old",
        revision=routes.known.revision if routes.known else None,
        locked=routes.locked is not None,
        database_away=isinstance(routes.locked, DatabaseAway),
        locked_by=str(routes.locked or ""),
        refused=routes.refused,
        serving=routes.applied.version if routes.applied else None,
        pending=routes.applied.pending if routes.applied else False,
        requests=chart(
            {side: [(point.at, point.requests) for point in found] for side, found in points.items()},
            now=now,
            clock=clock,
        ),
        p99=chart(
            {side: [(point.at, point.p99) for point in found] for side, found in points.items()}, now=now, clock=clock
        ),
        errors={side: points[side][-1].errors if points[side] else 0.0 for side in SIDES},
        changes=changes,
    )


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
