"""From the route table to the front door's routes and the clusters they need."""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from banyan.gateway.domain import destinations, matching, tracing
from banyan.gateway.domain.destinations import Destination
from banyan.gateway.domain.routes import Route, SnapshotRefused, in_order
from banyan.gateway.domain.world import API_OWNERS, ROW_SERVICES, Config, World, typed

NAME = "front"
REST = "_rest"

_ANYTHING: Config = {"prefix": ""}
_HEALTH_TIMEOUT = 3.0
_MEDIA_SILENCE = 60.0
_PEOPLE = "/_banyan/(login|logout|signup|reset)(/[^/]+)?"
# Never meant for anybody behind the gateway: our own mark, and what Envoy adds for its kin.
_KEPT_BACK = (matching.STREAM_HEADER, "x-envoy-external-address", "x-envoy-expected-rq-timeout-ms")


class ServiceUnknown(SnapshotRefused):
    """The route names a service that does not exist."""


@dataclass(frozen=True, slots=True)
class Routing:
    """Entries in the order in which they are asked, and their clusters.

    `rows` have the first segment of their path where that is literal: Envoy looks it up instead of asking each row.
    """

    odd: list[tuple[Config, list[Config]]] = field(default_factory=list)
    rows: list[tuple[str | None, list[Config]]] = field(default_factory=list)
    rest: list[Config] = field(default_factory=list)
    clusters: dict[str, Config] = field(default_factory=dict)

    def entries(self) -> Iterator[Config]:
        for _, entries in (*self.odd, *self.rows):
            yield from entries
        yield from self.rest

    def leading(self, name: str, match: Config, to: Destination, methods: tuple[str, ...] = ()) -> list[Config]:
        """The entries that send what matches there."""
        self.clusters[to.cluster_name] = to.cluster
        return to.entries(name, match, methods)


def routing(table: Iterable[Route], world: World, *, kill_switch: bool) -> Routing:
    """What is odd, then Banyan's own paths, then the table, then the rest."""
    found = Routing()
    rest = destinations.old(REST, world)
    found.odd.append((matching.two_hosts(), [_refusal("_hosts", 400)]))
    guard = found.leading("_guard", _ANYTHING, rest) if rest else [_refusal("_guard", 404)]
    found.odd.append((matching.guarded(), guard))
    _own_paths(found, world)
    for route in in_order(table):
        sent = sent_to_old(route) if kill_switch and world.old_site else route
        found.rows.append((matching.first_segment(route), _row(found, sent, world)))
    found.rest.extend(found.leading(REST, _ANYTHING, rest or destinations.new(REST, world, "web")))
    return found


def sent_to_old(route: Route) -> Route:
    """The route as the kill switch has it."""
    return dataclasses.replace(route, side="old") if route.old_twin else route


def configuration(found: Routing, world: World) -> Config:
    """The route configuration as a resource.

    Envoy does not look whether the clusters of a match tree exist, `validate_clusters` or not: `Snapshot.check` does,
    and routes are written only when Envoy has confirmed their clusters.
    """
    return {
        "name": NAME,
        "virtual_hosts": [
            {
                "name": NAME,
                "domains": ["*"],
                "request_headers_to_add": _forwarded(world),
                "request_headers_to_remove": list(_KEPT_BACK),
                "matcher": _tree(found),
            }
        ],
    }


def _tree(found: Routing) -> Config:
    """Odd requests first; for the others the rows that begin with the same segment or with a parameter."""
    everywhere = [entry for key, entries in found.rows if key is None for entry in entries]
    keys = dict.fromkeys(key for key, _ in found.rows if key is not None)
    lists = {key: [entry for known, entries in found.rows if known in (None, key) for entry in entries] for key in keys}
    by_segment: Config = {
        "matcher_tree": {
            "input": matching.header_input(":path"),
            # The longest key counts. For /coursesx that may be the one of /courses, whose rows then do not match.
            "prefix_match_map": {"map": {f"/{key}": _list([*lists[key], *found.rest]) for key in keys}},
        },
        "on_no_match": _list([*everywhere, *found.rest]),
    }
    odd = [
        {"predicate": {"single_predicate": predicate}, "on_match": _list(entries)} for predicate, entries in found.odd
    ]
    return {"matcher_list": {"matchers": odd}, "on_no_match": {"matcher": by_segment}}


def _list(entries: list[Config]) -> Config:
    return {"action": {"name": "routes", "typed_config": typed("config.route.v3.RouteList", routes=entries)}}


def _own_paths(found: Routing, world: World) -> None:
    """What lives under /_banyan is Banyan's whatever the table says."""
    health = destinations.new("_health", world, "gateway", timeout=_HEALTH_TIMEOUT)
    metrics = destinations.new("_metrics", world, "gateway")
    console = destinations.new("_console", world, "gateway")
    web = destinations.new("_own", world, "web")
    # A film lasts as long as it does.
    media = dataclasses.replace(destinations.new("_media", world, "learning", timeout=0), idle=_MEDIA_SILENCE)
    mail = destinations.new("_mail", world, "iam")
    # Signing in works whoever answers /login, so that an operator gets at the console.
    people = destinations.new("_people", world, "web", rewrite=("^/_banyan/", "/"))
    entries = [
        *_untraced(found.leading("_health", {"path": "/_banyan/health"}, health)),
        *_untraced(found.leading("_metrics", {"path": "/_banyan/metrics"}, metrics)),
        *_untraced(found.leading("_console", {"path_separated_prefix": "/_banyan/console"}, console)),
        *_untraced(found.leading("_assets", {"prefix": "/_banyan/assets/"}, web)),
        *_api(found, "_api", "/_banyan/api/v1", world, {}),
        *found.leading("_media", {"prefix": "/_banyan/media/"}, media),
        *found.leading("_mail", {"path_separated_prefix": "/_banyan/mail"}, mail),
        *found.leading("_people", {"safe_regex": {"regex": _PEOPLE}}, people),
        *found.leading("_own", {"path_separated_prefix": "/_banyan"}, web),
    ]
    found.rows.append(("_banyan", entries))


def _untraced(entries: list[Config]) -> list[Config]:
    return [{**entry, "tracing": tracing.NEVER} for entry in entries]


def _api(
    found: Routing, name: str, prefix: str, world: World, conditions: Config, methods: tuple[str, ...] = ()
) -> list[Config]:
    """Every service's part of the API under one prefix, each by a cluster `new~NAME~SERVICE`; what nobody owns is
    web's to refuse."""
    rewrite = (f"^{re.escape(prefix)}/", "/api/v1/")
    live = destinations.new(f"{name}~live", world, "live", timeout=0, rewrite=rewrite)
    live = dataclasses.replace(live, idle=world.stream_idle)
    of_a_course: Config = {**conditions, "safe_regex": {"regex": f"{re.escape(prefix)}/courses/[^/]+/live"}}
    entries = found.leading(name, of_a_course, live, methods)
    for part, service in API_OWNERS.items():
        owner = destinations.new(f"{name}~{service}", world, service, rewrite=rewrite)
        entries += found.leading(name, {**conditions, "path_separated_prefix": f"{prefix}/{part}"}, owner, methods)
    return entries


def _row(found: Routing, route: Route, world: World) -> list[Config]:
    match = matching.matched(route)
    old = destinations.old(route.name, world) if route.old_twin or route.side == "old" else None
    if old is not None:
        # Both sides stand ready, so that a move is one file of routes and nothing else can go wrong with it.
        found.clusters[old.cluster_name] = old.cluster
    if route.service is None and old is not None:
        entries = []
    elif route.service == "api":
        entries = _api_row(found, route, match, world)
    else:
        entries = found.leading(route.name, match, _new_side(route, world), route.methods)
    if route.side == "old" and old is not None:
        return found.leading(route.name, match, old, route.methods)
    return entries


def _new_side(route: Route, world: World) -> Destination:
    # Where neither side is there, nobody but web can say that there is nothing.
    service = route.service or "web"
    if service not in ROW_SERVICES:
        raise ServiceUnknown(
            f"The route {route.name!r} names the service {service!r}; there are {', '.join(ROW_SERVICES)}."
        )
    return destinations.new(route.name, world, service)


def _api_row(found: Routing, route: Route, match: Config, world: World) -> list[Config]:
    conditions = {key: value for key, value in match.items() if key in ("headers", "query_parameters")}
    entries = []
    if route.template.rest and None not in route.template.segments:
        entries += _api(found, route.name, route.path.removesuffix("/*"), world, conditions, route.methods)
    web = destinations.new(route.name, world, "web")
    return [*entries, *found.leading(route.name, match, web, route.methods)]


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


def _refusal(name: str, status: int) -> Config:
    return {"name": name, "match": _ANYTHING, "direct_response": {"status": status}}
