"""Envoy's clusters: `old~ROUTE` and `new~ROUTE`, or `new~ROUTE~SERVICE`."""

from typing import Literal

Side = Literal["old", "new"]

# Whoever looks at the figures must not be in them.
_WATCHING = frozenset({"new~_console", "new~_health", "new~_metrics"})
# As long as a page stays open, or a film plays.
_LASTING = frozenset({"new~_media"})
_STREAMING = "~live"


def is_watching(cluster: str) -> bool:
    return cluster in _WATCHING


def lasts(cluster: str) -> bool:
    """Whether how long its answers take says nothing."""
    return cluster in _LASTING or cluster.endswith(_STREAMING)


def side_of(cluster: str) -> Side:
    return "old" if cluster.startswith("old~") else "new"


def route_of(cluster: str) -> str:
    """As rules and people name it: `courses:new`."""
    side, _, route = cluster.partition("~")
    return f"{route.replace('~', '/')}:{side}"
