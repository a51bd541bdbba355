"""Envoy's figures, from its admin socket."""

from pathlib import PurePath

import msgspec

from banyan.infra import envoy_stats
from banyan.infra.http_client import HttpClient
from banyan.infra.settings import Settings
from banyan.monitor.domain.meters import Count
from banyan.monitor.domain.sights import Cluster

OLD_SITE = "old-site"

_CLUSTERS = "/clusters?format=json"
_TARGETS_EVERY = 10


class _Pipe(msgspec.Struct):
    path: str = ""


class _Address(msgspec.Struct):
    pipe: _Pipe | None = None


class _Host(msgspec.Struct):
    address: _Address


class _ClusterStatus(msgspec.Struct):
    name: str
    host_statuses: list[_Host] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_ClusterStatus] = []


class Envoy:
    def __init__(self, settings: Settings) -> None:
        self._http = HttpClient(settings.socket("envoy-admin"), "envoy", timeout=2.0)
        self._targets: dict[str, str] = {}
        self._looks = 0

    async def clusters(self) -> dict[str, Cluster]:
        """By name. Raises ServiceAway."""
        seen = await envoy_stats.upstreams(self._http)
        if self._looks % _TARGETS_EVERY == 0 or not seen.keys() <= self._targets.keys():
            self._targets = _targets(await self._http.get(_CLUSTERS, _Clusters))
        self._looks += 1
        return {
            name: Cluster(self._targets.get(name, OLD_SITE), Count(found.total, found.failed, found.buckets))
            for name, found in seen.items()
        }

    async def close(self) -> None:
        await self._http.close()


def _targets(clusters: _Clusters) -> dict[str, str]:
    """Who answers: a service by its socket; else it is the old site."""
    targets = {}
    for cluster in clusters.cluster_statuses:
        pipe = cluster.host_statuses[0].address.pipe if cluster.host_statuses else None
        targets[cluster.name] = PurePath(pipe.path).stem if pipe is not None else OLD_SITE
    return targets
