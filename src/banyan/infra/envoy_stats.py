"""What Envoy's admin interface says of its clusters: counters that only grow, and begin anew with their Envoy."""

import re
from dataclasses import dataclass, field
from urllib.parse import quote

import msgspec

from banyan.infra.http_client import HttpClient
from banyan.kit.percentiles import Bucket

_COUNTERS = r"^cluster\.(old|new)~[^.]+\.upstream_rq_(total|5xx|time)$"
_STATS = f"/stats?format=json&histogram_buckets=detailed&filter={quote(_COUNTERS)}"
_NAME = re.compile(r"cluster\.([^.]+)\.upstream_rq_(total|5xx|time)")


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


class Stats(msgspec.Struct):
    stats: list[_Stat]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A cluster's requests since its Envoy started; the buckets are milliseconds."""

    total: int = 0
    failed: int = 0
    buckets: dict[Bucket, int] = field(default_factory=dict)


async def upstreams(admin: HttpClient) -> dict[str, Upstream]:
    """The clusters `old~route` and `new~route`, by name. Raises ServiceAway."""
    return upstreams_in(await admin.get(_STATS, Stats))


def upstreams_in(stats: Stats) -> dict[str, Upstream]:
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
        name: Upstream(count.get("total", 0), count.get("5xx", 0), buckets.get(name, {}))
        for name, count in totals.items()
    }
