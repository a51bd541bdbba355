"""Which requests are a route's, in Envoy's words."""

import re

from banyan.gateway.domain.routes import ANY, Route
from banyan.gateway.domain.world import Config, typed

GUARD = r"[^?]*(//|\\|%(2[eEfFdD]|5[cCfF]|00|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|7[eE])|/\.{1,2}([/;?]|$)).*"
"""Paths that two programs may read in two ways: empty or dot segments, backslashes, and escapes of what needs none."""

STREAM_HEADER = "x-banyan-stream"
"""Set by the listener to the request's Upgrade or else Accept header; never leaves the gateway."""

_STREAM = r"(?i)websocket|.*text/event-stream.*"
_ESCAPE = re.compile(r"%[0-9A-F]{2}")


def guarded() -> Config:
    """Predicate of odd paths; what stands in the query is the old site's own affair."""
    return {"input": header_input(":path"), "value_match": {"safe_regex": {"google_re2": {}, "regex": GUARD}}}


def two_hosts() -> Config:
    """Predicate: Envoy joins two Host headers by a comma; whoever is behind it would take one of them."""
    return {"input": header_input(":authority"), "value_match": {"contains": ","}}


def header_input(name: str) -> Config:
    return {"name": name, "typed_config": typed("type.matcher.v3.HttpRequestHeaderMatchInput", header_name=name)}


def first_segment(route: Route) -> str | None:
    """The segment that every path of the route begins with; None where there is none, or it is spelled in two ways."""
    first = route.template.segments[0] if route.template.segments else None
    return None if first is None or "%" in first else first


def matched(route: Route) -> Config:
    """The match of a route without its method."""
    match = _path(route)
    if route.host != ANY:
        match["headers"] = [_header(":authority", regex=rf"(?i){re.escape(route.host)}\.?(:[0-9]{{1,5}})?")]
    if route.query_pairs:
        match["query_parameters"] = [
            {"name": key, "present_match": True} if value is None else {"name": key, "string_match": {"exact": value}}
            for key, value in route.query_pairs
        ]
    return match


def with_headers(match: Config, *headers: Config) -> Config:
    """The same match for requests that have these headers, too."""
    found = match.get("headers", [])
    assert isinstance(found, list)
    return {**match, "headers": [*found, *headers]}


def is_stream() -> Config:
    """A WebSocket or a stream of events: it may be silent for long."""
    return _header(STREAM_HEADER, regex=_STREAM)


def has_method(*methods: str) -> Config:
    return _header(":method", regex="|".join(methods))


def _path(route: Route) -> Config:
    template = route.template
    if all(segment is not None and "%" not in segment for segment in template.segments):
        literal = "".join(f"/{segment}" for segment in template.segments)
        if template.rest:
            return {"prefix": f"{literal}/"}
        return {"safe_regex": {"regex": f"{re.escape(literal)}/?"}} if literal else {"path": "/"}
    pattern = "".join("/[^/]+" if segment is None else f"/{_literal(segment)}" for segment in template.segments)
    return {"safe_regex": {"regex": pattern + ("/.*" if template.rest else "/?")}}


def _literal(segment: str) -> str:
    """A literal segment as a pattern; `%ed` and `%ED` are one escape and both are sent."""
    return _ESCAPE.sub(lambda escape: f"(?i:{escape[0]})", re.escape(segment))


def _header(name: str, *, regex: str) -> Config:
    return {"name": name, "string_match": {"safe_regex": {"regex": regex}}}
