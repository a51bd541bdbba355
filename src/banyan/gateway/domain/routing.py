"""From the route table to the front door's routes and the clusters they need."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from banyan.gateway.domain import destinations, matching
from banyan.gateway.domain.destinations import Destination
from banyan.gateway.domain.routes import Route, in_order
from banyan.gateway.domain.world import API_OWNERS, Config, World

NAME = "front"
REST = "_rest"

_HEALTH_TIMEOUT = 3.0
# Never meant for anybody behind the gateway: our own mark, and what Envoy adds for its kin.
_KEPT_BACK = (matching.STREAM_HEADER, "x-envoy-external-address", "x-envoy-expected-rq-timeout-ms")


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes in the order in which they are asked, and their clusters."""

    entries: list[Config] = field(default_factory=list)
    clusters: dict[str, Config] = field(default_factory=dict)

    def send(self, name: str, match: Config, to: Destination, methods: tuple[str, ...] = ()) -> None:
        self.clusters[to.cluster_name] = to.cluster
        self.entries.extend(to.entries(name, match, methods))


def routing(table: Iterable[Route], world: World, *, kill_switch: bool) -> Routing:
    """Guard, then Banyan's own paths, then the table, then the rest."""
    found = Routing()
    rest = destinations.old(REST, world)
    if rest is not None:
        found.send("_guard", matching.guarded(), rest)
    else:
        found.entries.append(_refusal("_guard", matching.guarded()))
    _own_paths(found, world)
    for route in in_order(table):
        _row(found, sent_to_old(route) if kill_switch and world.old_site else route, world)
    found.send(REST, {"prefix": "/"}, rest or destinations.new(REST, world, "web"))
    return found


def sent_to_old(route: Route) -> Route:
    """The route as the kill switch has it."""
    return dataclasses.replace(route, side="old") if route.old_twin else route


def configuration(entries: Sequence[Config], world: World) -> Config:
    """The route configuration as a resource; with `validate_clusters` a route to nowhere is refused, not answered."""
    return {
        "name": NAME,
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": NAME,
                "domains": ["*"],
                "request_headers_to_add": _forwarded(world),
                "request_headers_to_remove": list(_KEPT_BACK),
                "routes": list(entries),
            }
        ],
    }


def _own_paths(found: Routing, world: World) -> None:
    """What lives under /_banyan is Banyan's whatever the table says."""
    web = destinations.new("_own", world, "web")
    health = destinations.new("_health", world, "gateway", timeout=_HEALTH_TIMEOUT)
    found.send("_health", {"path": "/_banyan/health"}, health)
    if world.demo:
        # Until there are identities, the console has no door but the demo's, which is on loopback only.
        console = destinations.new("_console", world, "gateway")
        found.send("_console", {"path_separated_prefix": "/_banyan/console"}, console)
    _api(found, "_api", "/_banyan/api/v1", world)
    found.send("_own", {"path_separated_prefix": "/_banyan"}, web)


def _api(found: Routing, name: str, prefix: str, world: World, match: Config | None = None) -> None:
    """Every service's part of the API under one prefix; what nobody owns is web's to refuse."""
    for part, service in API_OWNERS.items():
        owner = destinations.new(f"{name}~{service}", world, service, rewrite=(f"^{prefix}/", "/api/v1/"))
        found.send(name, {**(match or {}), "path_separated_prefix": f"{prefix}/{part}"}, owner)


def _row(found: Routing, route: Route, world: World) -> None:
    match = matching.matched(route)
    old = destinations.old(route.name, world)
    if route.side == "old" and old is not None:
        found.send(route.name, match, old, route.methods)
    elif route.service == "api":
        _api_row(found, route, match, world)
    else:
        # Without an old site nobody but web can say that there is nothing here.
        service = route.service if route.side == "new" and route.service else "web"
        found.send(route.name, match, destinations.new(route.name, world, service), route.methods)


def _api_row(found: Routing, route: Route, match: Config, world: World) -> None:
    conditions = {key: value for key, value in match.items() if key in ("headers", "query_parameters")}
    if route.template.rest and None not in route.template.segments:
        _api(found, route.name, route.path.removesuffix("/*"), world, conditions)
    found.send(route.name, match, destinations.new(route.name, world, "web"), route.methods)


def _forwarded(world: World) -> list[Config]:
    """What the request looked like to the browser, for whoever is behind us."""
    trusted = world.trusted_hops > 0
    headers = [
        _header("x-forwarded-for", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "APPEND_IF_EXISTS_OR_ADD"),
        _header("x-forwarded-host", "%REQ(:AUTHORITY)%", "ADD_IF_ABSENT"),
    ]
    if not trusted and world.public_scheme == "https":
        # Somebody else's TLS, or ours: browsers use https, whatever reached this listener.
        headers.append(_header("x-forwarded-proto", "https", "OVERWRITE_IF_EXISTS_OR_ADD"))
    return headers


def _header(key: str, value: str, action: str) -> Config:
    return {"header": {"key": key, "value": value}, "append_action": action}


def _refusal(name: str, match: Config) -> Config:
    return {"name": name, "match": match, "direct_response": {"status": 404}}
