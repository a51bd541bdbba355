"""The whole of what Envoy is told, as a pure function of the route table and its world."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from banyan.gateway.domain import bootstraps, routing
from banyan.gateway.domain.routes import Route, SnapshotRefused
from banyan.gateway.domain.world import Config, World


class SnapshotInvalid(SnapshotRefused):
    """The configuration made from this table contradicts itself. Nothing was changed."""


@dataclass(frozen=True)
class Snapshot:
    """Clusters and routes are delivered by file while Envoy runs; `bootstrap` is read once when it starts."""

    clusters: tuple[Config, ...]
    entries: tuple[Config, ...]
    routes: Config
    bootstrap: Config

    @cached_property
    def version(self) -> str:
        return content_version([*self.clusters, self.routes, self.bootstrap])

    def leads(self) -> Iterator[tuple[str, Config, str]]:
        """(route name, entry, cluster) in the order in which they are asked; no cluster where the gateway answers."""
        for entry in self.entries:
            action = entry.get("route", {})
            assert isinstance(action, dict)
            yield str(entry["name"]), entry, str(action.get("cluster", ""))

    def check(self) -> None:
        """Raises SnapshotInvalid where a part names what another part does not have."""
        names = [str(cluster["name"]) for cluster in self.clusters]
        if len(set(names)) != len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise SnapshotInvalid(f"Two clusters have one name: {', '.join(twice)}.")
        led_to = set(_found(self.routes, "cluster"))
        missing = led_to - set(names)
        if missing:
            raise SnapshotInvalid(f"Routes lead to clusters that do not exist: {', '.join(sorted(missing))}.")
        for pattern in _found(self.routes, "regex"):
            _check_pattern(pattern)


def render(table: Iterable[Route], world: World, *, kill_switch: bool) -> Snapshot:
    """What Envoy must serve for this table."""
    found = routing.routing(table, world, kill_switch=kill_switch)
    return Snapshot(
        clusters=tuple(found.clusters[name] for name in sorted(found.clusters)),
        entries=tuple(found.entries()),
        routes=routing.configuration(found, world),
        bootstrap=bootstraps.bootstrap(world),
    )


def static(snapshot: Snapshot, world: World) -> Config:
    """The same as one self-contained file, for `envoy --mode validate`."""
    return bootstraps.self_contained(world, clusters=snapshot.clusters, routes=snapshot.routes)


def content_version(resources: Sequence[Config]) -> str:
    """Equal resources have equal versions."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]


def _found(part: object, key: str) -> Iterator[str]:
    """Every text under that key, however deep."""
    if isinstance(part, dict):
        for name, value in part.items():
            if name == key and isinstance(value, str):
                yield value
            else:
                yield from _found(value, key)
    elif isinstance(part, list):
        for item in part:
            yield from _found(item, key)


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as fault:
        raise SnapshotInvalid(f"The pattern {pattern!r} is none: {fault}.") from None
