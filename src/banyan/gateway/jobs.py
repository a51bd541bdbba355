"""What the control plane does by itself: keep Envoy on the route table, and read its counters."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
import structlog

from banyan.gateway.adapters.admin import Admin, EnvoyAway
from banyan.gateway.adapters.trust import Trust
from banyan.gateway.domain import tracing
from banyan.gateway.domain.traffic import Totals, Traffic
from banyan.gateway.operations.routes import Routes
from banyan.infra.http_client import HttpClient, ServiceAway

log = structlog.get_logger()

RECONCILE_SECONDS = 0.5
LOOK_SECONDS = 1.0
TRUST_SECONDS = 1.0
SAMPLING_SECONDS = 0.5

_COUNTERS = r"^cluster\.(old|new)~[a-z0-9_~-]+\.upstream_rq_(total|5xx|time)$"
_WATCHING = ("new~_console", "new~_health", "new~_metrics")  # whoever looks at the figures must not be in them
_STATS = f"/stats?format=json&histogram_buckets=detailed&filter={quote(_COUNTERS)}"
_NAME = re.compile(r"cluster\.([a-z0-9_~-]+)\.upstream_rq_(total|5xx|time)")


async def keep_serving(routes: Routes) -> None:
    """Make Envoy serve the table, twice a second, for ever."""
    await _for_ever(routes.reconcile, every=RECONCILE_SECONDS)


async def keep_trust(trust: Trust) -> None:
    """Have Envoy know iam's keys and ended sessions, once a second, for ever."""
    await _for_ever(trust.keep, every=TRUST_SECONDS)


async def keep_sampling(admin: Admin, *, wanted: float) -> None:
    """Have Envoy trace about so many requests a second, for ever; without us it goes on with its last share."""
    await _for_ever(Sampling(admin, wanted).step, every=SAMPLING_SECONDS)


class Sampling:
    def __init__(self, admin: Admin, wanted: float) -> None:
        self._admin = admin
        self._wanted = wanted
        self._steps = tracing.Steps()
        self._seen: tuple[int, float] | None = None
        self._told: int | None = None

    async def step(self) -> None:
        try:
            requests, now = await self._admin.seen_requests(), time.monotonic()
            if self._seen is None or requests < self._seen[0]:
                self._told = None  # a new Envoy
            else:
                per_second = (requests - self._seen[0]) / (now - self._seen[1])
                percent = self._steps.next(tracing.share(per_second, wanted=self._wanted))
                if percent != self._told:
                    await self._admin.sample(percent)
                    self._told = percent
            self._seen = (requests, now)
        except EnvoyAway:
            self._seen = None


async def record_traffic(traffic: Traffic, admin: HttpClient) -> None:
    """Note Envoy's counters once a second, for ever."""

    async def look() -> None:
        try:
            found = await admin.get(_STATS, Stats)
        except ServiceAway:
            traffic.lose_sight()
        else:
            traffic.note(totals_of(found), at=datetime.now(UTC))

    await _for_ever(look, every=LOOK_SECONDS)


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


def totals_of(stats: Stats) -> dict[str, Totals]:
    """Envoy's answer as totals by cluster."""
    counters: dict[str, dict[str, int]] = {}
    buckets: dict[str, dict[tuple[float, float], int]] = {}
    for stat in stats.stats:
        found = _NAME.fullmatch(stat.name)
        if found:
            counters.setdefault(found[1], {})[found[2]] = stat.value
        for histogram in stat.histograms.details if stat.histograms else []:
            timed = _NAME.fullmatch(histogram.name)
            if timed:
                buckets[timed[1]] = {(bucket.lower_bound, bucket.width): bucket.count for bucket in histogram.totals}
    return {
        cluster: Totals(count.get("total", 0), count.get("5xx", 0), buckets.get(cluster, {}))
        for cluster, count in counters.items()
        if cluster not in _WATCHING
    }


async def _for_ever(step: Callable[[], Awaitable[None]], *, every: float) -> None:
    while True:
        try:
            await step()
        except Exception:
            # A loop that ended would leave the gateway without its keeper, silently.
            log.exception("a step failed and is tried again", step=step.__qualname__)
        await asyncio.sleep(every)
