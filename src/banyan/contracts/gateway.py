"""What the control plane answers to the command line and the console."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Side = Literal["old", "new"]
Fate = Literal["move", "keep", "retire"]


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One row of the route table, in the order in which the gateway asks (`order` 1 is asked first)."""

    name: str
    method: str
    host: str
    path: str
    query: str
    fate: Fate
    side: Side
    old_twin: bool
    service: str | None
    order: int
    overlaps: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RouteList:
    items: list[RouteRow]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class NewRoute:
    """A row to add. `method` and `host` are `*` for any; `query` is `key=value&...`, all of which must be there."""

    name: str
    path: str
    method: str = "*"
    host: str = "*"
    query: str = ""
    fate: Fate = "move"
    side: Side = "old"
    old_twin: bool = True
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What Envoy serves now: `version` is the content hash of the snapshot; `pending` says that Envoy was away
    and takes the written files when it is back; `kill_switch` is what the snapshot was made with; `notes` are
    sentences for the person who asked."""

    version: str
    pending: bool
    kill_switch: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Change:
    """A line of `gateway plan`: `kind` is `cluster` or `route`."""

    action: Literal["add", "remove", "change"]
    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    version: str
    serving: str | None
    kill_switch: bool
    changes: list[Change]


@dataclass(frozen=True, slots=True)
class RouteChange:
    """One line of the append-only log of the route table."""

    at: datetime
    route: str
    action: str
    detail: str
    outcome: str
