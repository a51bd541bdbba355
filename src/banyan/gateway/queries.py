"""What is read of the gateway's database without changing it."""

from collections.abc import Sequence

from banyan.contracts.gateway import RouteChange, RouteRow
from banyan.gateway.domain import routes
from banyan.gateway.domain.routes import Route
from banyan.infra.postgres import Database
from banyan.kit.paging import Page, decode_cursor, encode_cursor

CHANGES = """
    SELECT id, at, route, action, detail, outcome FROM route_change
    WHERE id < $1 ORDER BY id DESC LIMIT $2
"""
_NEWEST = 2**63 - 1


def route_rows(table: Sequence[Route]) -> list[RouteRow]:
    """The table as people see it, in the order in which routes are asked."""
    overlaps = routes.overlaps(table)
    return [
        RouteRow(
            name=route.name,
            method=route.method,
            host=route.host,
            path=route.path,
            query=route.query,
            fate=route.fate,
            side=route.side,
            old_twin=route.old_twin,
            service=route.service,
            order=order,
            overlaps=overlaps[route.name],
        )
        for order, route in enumerate(routes.in_order(table), start=1)
    ]


async def route_changes(database: Database, *, limit: int, after: str | None = None) -> Page[RouteChange]:
    """The log of the route table, newest first. Raises CursorNotOurs, DatabaseAway."""
    before = min(_NEWEST, int(str(decode_cursor(after, int)[0]))) if after else _NEWEST
    rows = await database.fetch(CHANGES, before, limit + 1)
    items = [
        RouteChange(
            at=row["at"], route=row["route"], action=row["action"], detail=row["detail"], outcome=row["outcome"]
        )
        for row in rows[:limit]
    ]
    return Page(items, encode_cursor(rows[limit - 1]["id"]) if len(rows) > limit else None)
