"""Envoy's figures, from its admin socket."""

import re
from pathlib import PurePath
from urllib.parse import quote

import msgspec

from banyan.infra.http_client import HttpClient
from banyan.infra.settings import Settings
from banyan.monitor.domain.meters import Bucket, Count
from banyan.monitor.domain.sights import Cluster

OLD_SITE = "old-site"

_COUNTERS = r"^cluster\.(old|new)~[^.]+\.upstream_rq_(total|5xx|time)$"
_STATS = f"/stats?format=json&histogram_buckets=detailed&filter={quote(_COUNTERS)}"
_NAME = re.compile(r"cluster\.([^.]+)\.upstream_rq_(total|5xx|time)")
_CLUSTERS = "/clusters?format=json"
_TARGETS_EVERY = 10


class _Bucket(msgspec.Struct):
    lower_bound: float
    width: float
    count: int


class _Histogram(msgspec.Struct):
    name: str
    totals: list[_Bucket] = []


class _Histograms(msgspec.Struct):
    details: list[_Histogram] = []


class _Stat(msgspec.Struct):
    name: str = ""
    value: int = 0
    histograms: _Histograms | None = None


class _Stats(msgspec.Struct):
    stats: list[_Stat]


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
        counts = _counts(await self._http.get(_STATS, _Stats))
        if self._looks % _TARGETS_EVERY == 0 or not counts.keys() <= self._targets.keys():
            self._targets = _targets(await self._http.get(_CLUSTERS, _Clusters))
        self._looks += 1
        return {name: Cluster(self._targets.get(name, OLD_SITE), count) for name, count in counts.items()}

    async def close(self) -> None:
        await self._http.close()


def _counts(stats: _Stats) -> dict[str, Count]:
    totals: dict[str, dict[str, int]] = {}
    buckets: dict[str, dict[Bucket, int]] = {}
    for stat in stats.stats:
        found = _NAME.fullmatch(stat.name)
        if found:
            totals.setdefault(found[1], {})[found[2]] = stat.value
        for histogram in stat.histograms.details if stat.histograms else []:
            timed = _NAME.fullmatch(histogram.name)
            if timed:
                buckets[timed[1]] = {(bucket.lower_bound, bucket.width): bucket.count for bucket in histogram.totals}
    return {
        name: Count(count.get("total", 0), count.get("5xx", 0), buckets.get(name, {})) for name, count in totals.items()
    }


def _targets(clusters: _Clusters) -> dict[str, str]:
    """Who answers: a service by its socket; else it is the old site."""
    targets = {}
    for cluster in clusters.cluster_statuses:
        pipe = cluster.host_statuses[0].address.pipe if cluster.host_statuses else None
        targets[cluster.name] = PurePath(pipe.path).stem if pipe is not None else OLD_SITE
    return targets
