"""The control API of the command line: on the process's own socket, which only its owner may open.

Envoy sends nothing here; a request that came through it all the same is not answered.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.exceptions import HTTPException

from banyan.contracts.gateway import NewRoute, RouteList, Side
from banyan.gateway import queries
from banyan.gateway.domain.routes import Route
from banyan.gateway.operations.routes import Routes
from banyan.infra.http import json_response
from banyan.infra.postgres import Database
from banyan.kit.paging import DEFAULT_LIMIT, MAX_LIMIT

_ADDED_BY_ENVOY = ("x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-envoy-internal")


@dataclass(frozen=True, slots=True)
class SideChoice:
    side: Side


def router(routes: Routes, database: Database) -> APIRouter:
    api = APIRouter(prefix="/control", dependencies=[Depends(_from_the_socket_itself)], include_in_schema=False)

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


def _from_the_socket_itself(request: Request) -> None:
    if any(header in request.headers for header in _ADDED_BY_ENVOY):
        raise HTTPException(404)
