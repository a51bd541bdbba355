"""What the control plane does by itself: keep Envoy on the route table, and read its counters."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from banyan.gateway.adapters.admin import Admin, EnvoyAway
from banyan.gateway.adapters.trust import Trust
from banyan.gateway.domain import tracing
from banyan.gateway.domain.traffic import Totals, Traffic
from banyan.gateway.operations.routes import Routes
from banyan.infra import envoy_stats
from banyan.infra.envoy_stats import Upstream
from banyan.infra.http_client import HttpClient, ServiceAway
from banyan.infra.repeating import for_ever

RECONCILE_SECONDS = 0.5
LOOK_SECONDS = 1.0
TRUST_SECONDS = 1.0
SAMPLING_SECONDS = 0.5

_WATCHING = ("new~_console", "new~_health", "new~_metrics")  # whoever looks at the figures must not be in them


async def keep_serving(routes: Routes) -> None:
    """Make Envoy serve the table, twice a second, for ever."""
    await for_ever(routes.reconcile, every=RECONCILE_SECONDS)


async def keep_trust(trust: Trust) -> None:
    """Have Envoy know iam's keys and ended sessions, once a second, for ever."""
    await for_ever(trust.keep, every=TRUST_SECONDS)


async def keep_sampling(admin: Admin, *, wanted: float) -> None:
    """Have Envoy trace about so many requests a second, for ever; without us it goes on with its last share."""
    await for_ever(Sampling(admin, wanted).step, every=SAMPLING_SECONDS)


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
            found = await envoy_stats.upstreams(admin)
        except ServiceAway:
            traffic.lose_sight()
        else:
            traffic.note(totals_of(found), at=datetime.now(UTC))

    await for_ever(look, every=LOOK_SECONDS)


def totals_of(upstreams: Mapping[str, Upstream]) -> dict[str, Totals]:
    """All clusters but those of whoever looks."""
    return {
        name: Totals(found.total, found.failed, found.buckets)
        for name, found in upstreams.items()
        if name not in _WATCHING
    }
