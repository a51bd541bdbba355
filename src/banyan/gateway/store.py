"""The route table and its log, in SQL."""

from collections.abc import Sequence

from banyan.gateway.domain.routes import Route
from banyan.gateway.domain.tables import Table
from banyan.infra.postgres import Connection, Row

LOCK_TABLE = "SELECT revision, seeded_at IS NOT NULL AS seeded FROM route_table FOR UPDATE"
REVISION = "SELECT revision FROM route_table"
ROUTES = "SELECT name, path, method, host, query, fate, side, old_twin, service FROM route"
NEXT_REVISION = "UPDATE route_table SET revision = revision + 1 RETURNING revision"
MARK_SEEDED = "UPDATE route_table SET seeded_at = now()"
INSERT_ROUTE = """
    INSERT INTO route (name, path, method, host, query, fate, side, old_twin, service)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
MOVE_ROUTE = "UPDATE route SET side = $2, moved_at = now() WHERE name = $1"
DELETE_ROUTE = "DELETE FROM route WHERE name = $1"
INSERT_CHANGE = "INSERT INTO route_change (route, action, detail, outcome) VALUES ($1, $2, $3, $4)"


async def lock_table(tx: Connection) -> Table:
    """The table, which nobody else can change until this transaction ends."""
    row = await tx.fetchrow(LOCK_TABLE)
    assert row is not None, "the migration made this row"
    return Table(row["revision"], await _routes(tx), row["seeded"])


async def load_table(connection: Connection) -> Table:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        revision = await connection.fetchval(REVISION)
        return Table(revision, await _routes(connection))


async def load_revision(connection: Connection) -> int:
    revision: int = await connection.fetchval(REVISION)
    return revision


async def save_table(tx: Connection, *, before: Sequence[Route], after: Sequence[Route]) -> int:
    """Write what differs between two tables; answers the new revision."""
    old = {route.name: route for route in before}
    new = {route.name: route for route in after}
    await tx.executemany(DELETE_ROUTE, [(name,) for name in old.keys() - new.keys()])
    await tx.executemany(INSERT_ROUTE, [_values(new[name]) for name in sorted(new.keys() - old.keys())])
    moved = [name for name in old.keys() & new.keys() if old[name].side != new[name].side]
    await tx.executemany(MOVE_ROUTE, [(name, new[name].side) for name in moved])
    revision: int = await tx.fetchval(NEXT_REVISION)
    return revision


async def mark_seeded(tx: Connection) -> None:
    await tx.execute(MARK_SEEDED)


async def add_change(tx: Connection, *, route: str, action: str, detail: str, outcome: str) -> None:
    await tx.execute(INSERT_CHANGE, route, action, detail, outcome)


async def _routes(connection: Connection) -> tuple[Route, ...]:
    return tuple(_route(row) for row in await connection.fetch(ROUTES))


def _route(row: Row) -> Route:
    return Route(
        name=row["name"],
        path=row["path"],
        method=row["method"],
        host=row["host"],
        query=row["query"],
        fate=row["fate"],
        side=row["side"],
        old_twin=row["old_twin"],
        service=row["service"],
    )


def _values(route: Route) -> tuple[object, ...]:
    return (
        route.name,
        route.path,
        route.method,
        route.host,
        route.query,
        route.fate,
        route.side,
        route.old_twin,
        route.service,
    )
