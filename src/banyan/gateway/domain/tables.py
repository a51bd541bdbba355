"""The route table as a whole: what adding, moving and removing a row makes of it, or why not."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from banyan.gateway.domain import routes
from banyan.gateway.domain.routes import Route, Side

LARGEST = 2000


@dataclass(frozen=True, slots=True)
class Table:
    """The route table at one revision; `seeded` says that it was given the default routes once."""

    revision: int
    routes: tuple[Route, ...]
    seeded: bool = True


def find(table: Sequence[Route], name: str) -> Route:
    """The route of that name. Raises RouteUnknown."""
    for route in table:
        if route.name == name:
            return route
    raise routes.RouteUnknown(name, (route.name for route in table))


def with_added(table: Sequence[Route], route: Route) -> tuple[Route, ...]:
    """The table with one more route, checked and in canonical spelling. Raises what `routes.checked` raises, and
    RouteExists, SameRequests, TableFull."""
    new = routes.checked(route)
    if len(table) >= LARGEST:
        raise routes.TableFull
    for other in table:
        if other.name == new.name:
            raise routes.RouteExists(other)
    for other in table:
        if routes.same_requests(new, other):
            raise routes.SameRequests(other)
    return (*table, new)


def with_moved(table: Sequence[Route], name: str, side: Side) -> tuple[Route, ...]:
    """The table with one route answered by that side. Raises RouteUnknown, NoOldSite, NoNewSide."""
    found = find(table, name)
    routes.check_side(found, side)
    moved = dataclasses.replace(found, side=side)
    return tuple(moved if route is found else route for route in table)


def without(table: Sequence[Route], name: str) -> tuple[Route, ...]:
    """The table with one route less; its requests go to the old site again. Raises RouteUnknown."""
    found = find(table, name)
    return tuple(route for route in table if route is not found)
