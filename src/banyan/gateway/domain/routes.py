"""A route, the order in which routes are asked, which routes overlap, and the refusals of the route table."""

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, unquote

from banyan.gateway.domain import templates
from banyan.kit.errors import Conflict, NotFound, Refused

Side = Literal["old", "new"]
Fate = Literal["move", "keep", "retire"]

ANY = "*"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_METHOD = re.compile(r"[A-Z]{1,20}")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]{2,45}\]")
_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,62}")


class RouteUnknown(NotFound):
    """There is no route of that name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        if close:
            hint = f"Did you mean {' or '.join(close)}?"
        elif names:
            hint = f"There are: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}."
        else:
            hint = "The table is empty; add one with `banyan route add`."
        super().__init__(f"There is no route named {name!r}. {hint}")


class RouteExists(Conflict):
    """A route of that name exists already."""

    def __init__(self, route: "Route") -> None:
        super().__init__(f"There is a route named {route.name!r} already: {described(route)}. Choose another name.")


class SameRequests(Conflict):
    """Another route takes exactly these requests."""

    def __init__(self, route: "Route") -> None:
        super().__init__(
            f"The route {route.name!r} takes exactly these requests already: {described(route)}."
            f" Move that one, or remove it first: banyan route rm {route.name}"
        )


class NoOldSite(Refused):
    """The route exists on the new side only."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The route {name!r} has no twin on the old site, so it stays on the new side.")


class NoNewSide(Refused):
    """Nothing on the new side answers this route yet."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Nothing on the new side answers the route {name!r} yet, so it stays on the old site."
            " Add it with --service NAME once a service does."
        )


class RouteInvalid(Refused):
    """A part of the route is not written as it must be."""


class TableFull(Conflict):
    """The route table has as many rows as it takes; remove some first."""


class SnapshotRefused(Refused):
    """Envoy would not take this table. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One row of the route table. All of path, method, host and query must fit for a request to be its.

    `method` and `host` are `*` for any; `query` is `key=value&key`, each of which the request must have, in any
    order, beside others. `service` is who answers on the new side (None: nobody yet); `old_twin` says that the old
    site answers these requests, too, so that the kill switch may send them there.
    """

    name: str
    path: str
    method: str = ANY
    host: str = ANY
    query: str = ""
    fate: Fate = "move"
    side: Side = "old"
    old_twin: bool = True
    service: str | None = None

    @property
    def template(self) -> templates.Template:
        return templates.parsed(self.path)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods it takes; none means any. GET takes HEAD along, as a browser expects of one page."""
        if self.method == ANY:
            return ()
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)

    @property
    def query_pairs(self) -> tuple[tuple[str, str | None], ...]:
        """(key, value) that the request's query must have; None is any value."""
        return query_pairs(self.query)


def checked(route: Route) -> Route:
    """The route in its one canonical spelling. Raises TemplateInvalid, RouteInvalid, NoOldSite, NoNewSide."""
    if not _NAME.fullmatch(route.name):
        raise RouteInvalid(
            f"{route.name!r} is no route name: it begins with a-z and goes on with a-z, 0-9 and -, 63 at most."
        )
    if route.fate not in ("move", "keep", "retire") or route.side not in ("old", "new"):
        raise RouteInvalid("The fate is move, keep or retire, and the side is old or new.")
    if route.service is not None and not _SERVICE.fullmatch(route.service):
        raise RouteInvalid(f"{route.service!r} is no service name: it begins with a-z and goes on with a-z, 0-9 and -.")
    if route.service is None and not route.old_twin:
        raise RouteInvalid(f"The route {route.name!r} would be answered by nobody: give it a service or an old twin.")
    check_side(route, route.side)
    return Route(
        name=route.name,
        path=templates.normalised(route.path),
        method=_method(route.method),
        host=_host(route.host),
        query=_query(route.query),
        fate=route.fate,
        side=route.side,
        old_twin=route.old_twin,
        service=route.service,
    )


def check_side(route: Route, side: Side) -> None:
    """Whether the route may be answered by that side. Raises NoOldSite, NoNewSide."""
    if side == "old" and not route.old_twin:
        raise NoOldSite(route.name)
    if side == "new" and route.service is None:
        raise NoNewSide(route.name)


def in_order(routes: Iterable[Route]) -> list[Route]:
    """The routes as the gateway asks them; the first that fits a request answers it.

    More specific first: a named host before any host; then the path, segment by segment from the left, literal text
    before {parameter} before *; then a named method before any method; then more query keys before fewer; then by
    name, so that the order never depends on when a route was added.
    """
    return sorted(routes, key=_rank)


def overlapping(one: Route, other: Route) -> bool:
    """Whether some request fits both routes, so that their order decides. Exact."""
    return (
        _sets_meet(one.methods, other.methods)
        and (ANY in (one.host, other.host) or one.host == other.host)
        and templates.overlapping(one.path, other.path)
        and _queries_meet(one, other)
    )


def overlaps(routes: Sequence[Route]) -> dict[str, list[str]]:
    """For each route, the names of those that can match the same request, in the order they are asked."""
    found: dict[str, list[str]] = {route.name: [] for route in routes}
    for one, other in itertools.combinations(in_order(routes), 2):
        if overlapping(one, other):
            found[one.name].append(other.name)
            found[other.name].append(one.name)
    return found


def same_requests(one: Route, other: Route) -> bool:
    """Whether the two fit exactly the same requests; parameter names do not matter."""
    return (
        one.template == other.template
        and one.method == other.method
        and one.host == other.host
        and one.query == other.query
    )


def matches(route: Route, *, method: str, host: str, path: str, query: Sequence[tuple[str, str]] = ()) -> bool:
    """Whether a request is the route's: the plain reading of the rules, which the gateway's configuration keeps."""
    first: dict[str, str] = {}
    for key, value in query:
        first.setdefault(key, value)
    return (
        (not route.methods or method in route.methods)
        and route.host in (ANY, host)
        and templates.matches(route.path, path)
        and all(key in first and value in (None, first[key]) for key, value in route.query_pairs)
    )


def described(route: Route) -> str:
    """The request that a route takes in one short line, Korean readable again."""
    where = "" if route.host == ANY else route.host
    query = f"?{route.query}" if route.query else ""
    method = "" if route.method == ANY else f"{route.method} "
    return f"{method}{where}{readable(route.path)}{query}"


def readable(path: str) -> str:
    """A template for people: percent-encoded Hangul as Hangul, everything that would be ambiguous left encoded."""
    return "/".join(_readable(segment) for segment in path.split("/"))


def query_pairs(query: str) -> tuple[tuple[str, str | None], ...]:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    return tuple((key, value if equals else None) for key, equals, value in pairs)


def _rank(route: Route) -> tuple[object, ...]:
    pairs = route.query_pairs
    any_value = sum(value is None for _, value in pairs)
    method_count = len(route.methods) or 100
    return (
        route.host == ANY,
        route.host,
        templates.specificity(route.path),
        method_count,
        -len(pairs),
        any_value,
        route.name,
    )


def _sets_meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return not one or not other or bool(set(one) & set(other))


def _queries_meet(one: Route, other: Route) -> bool:
    wanted = dict(one.query_pairs)
    return all(
        None in (value, wanted[key]) or value == wanted[key] for key, value in other.query_pairs if key in wanted
    )


def _method(method: str) -> str:
    upper = method.strip().upper()
    if upper != ANY and not _METHOD.fullmatch(upper):
        raise RouteInvalid(f"{method!r} is no method: give one like GET, or * for any.")
    return upper


def _host(host: str) -> str:
    name = host.strip().rstrip(".").lower()
    if name == ANY:
        return name
    try:
        name = name if name.startswith("[") else name.encode("idna").decode()
    except UnicodeError:
        raise RouteInvalid(f"{host!r} is no host name.") from None
    if not _HOST.fullmatch(name):
        raise RouteInvalid(f"{host!r} is no host name: give one without scheme and port, or * for any.")
    return name


def _query(query: str) -> str:
    """Sorted, each key once, encoded as browsers do."""
    pairs: dict[str, str | None] = {}
    for key, value in query_pairs(query.removeprefix("?")):
        written = _encoded(key)
        if not written or written in pairs:
            raise RouteInvalid(f"The query {query!r} is not key=value&key=value with each key once.")
        pairs[written] = None if value is None else _encoded(value)
    return "&".join(key if value is None else f"{key}={value}" for key, value in sorted(pairs.items()))


def _encoded(text: str) -> str:
    if any(ord(character) <= 0x20 or ord(character) == 0x7F or character == "#" for character in text):
        raise RouteInvalid(f"{text!r} cannot be in a query; encode it.")
    try:
        return quote(text, safe="!$'()*,;:@/?%+[]~-._")
    except UnicodeEncodeError:
        raise RouteInvalid("The query is no valid UTF-8.") from None


def _readable(segment: str) -> str:
    try:
        text = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return segment
    return text if text.isprintable() and not set(text) & set("/\\?#%{}* ") else segment
