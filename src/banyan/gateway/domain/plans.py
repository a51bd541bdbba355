"""What differs between two snapshots, in lines for people."""

from typing import Literal

from banyan.contracts.gateway import Change
from banyan.gateway.domain.snapshot import Snapshot

_Described = dict[str, tuple[object, str]]


def changes(now: Snapshot | None, wanted: Snapshot) -> list[Change]:
    """Clusters first, then routes, as they would be written; `now` is None before the first time."""
    return [
        *_compared("cluster", _clusters(now), _clusters(wanted)),
        *_compared("route", _routes(now), _routes(wanted)),
    ]


def _compared(kind: str, now: _Described, wanted: _Described) -> list[Change]:
    found = []
    for name in sorted(now.keys() | wanted.keys()):
        (before, before_words), (after, after_words) = now.get(name, (None, "")), wanted.get(name, (None, ""))
        if before == after:
            continue
        action: Literal["add", "remove", "change"] = (
            "add" if before is None else "remove" if after is None else "change"
        )
        detail = " -> ".join(dict.fromkeys(words for words in (before_words, after_words) if words))
        found.append(Change(action=action, kind=kind, name=name, detail=detail))
    return found


def _clusters(snapshot: Snapshot | None) -> _Described:
    return {str(cluster["name"]): (cluster, "") for cluster in snapshot.clusters} if snapshot else {}


def _routes(snapshot: Snapshot | None) -> _Described:
    """A row of the table makes several entries; for people it is one, described by where it leads."""
    parts: dict[str, list[object]] = {}
    leads: dict[str, dict[str, None]] = {}
    for name, entry, cluster in snapshot.leads() if snapshot else ():
        parts.setdefault(name, []).append(entry)
        leads.setdefault(name, {})[cluster] = None
    return {name: (found, ", ".join(leads[name])) for name, found in parts.items()}
