"""The control API of the command line: on the process's own socket, which only its owner may open.

Envoy sends nothing here; a request that came through it all the same is not answered.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from banyan.contracts.gateway import NewRoute, RouteList, Side
from banyan.gateway import queries
from banyan.gateway.domain.routes import Route
from banyan.gateway.operations.routes import Routes
from banyan.infra.http import json_response
from banyan.infra.postgres import Database
from banyan.infra.telemetry.faces import from_the_socket_itself
from banyan.kit.paging import DEFAULT_LIMIT, MAX_LIMIT


@dataclass(frozen=True, slots=True)
class SideChoice:
    side: Side


def router(routes: Routes, database: Database) -> APIRouter:
    api = APIRouter(prefix="/control", dependencies=[Depends(from_the_socket_itself)], include_in_schema=False)

    @api.get("/routes")
    async def list_routes() -> Response:
        table = await routes.table()
        return json_response(RouteList(queries.route_rows(table.routes)))

    @api.post("/routes")
    async def add_route(new: NewRoute) -> Response:
        return json_response(await routes.add(Route(**dataclasses.asdict(new))), 201)

    @api.put("/routes/{name}/side")
    async def move_route(name: str, choice: SideChoice) -> Response:
        return json_response(await routes.move(name, side=choice.side))

    @api.delete("/routes/{name}")
    async def remove_route(name: str) -> Response:
        return json_response(await routes.remove(name))

    @api.get("/plan")
    async def plan() -> Response:
        return json_response(await routes.plan())

    @api.get("/changes")
    async def changes(
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT, after: str | None = None
    ) -> Response:
        return json_response(await queries.route_changes(database, limit=limit, after=after))

    return api
