"""Look at everybody, again and again, and keep the picture."""

import asyncio
import time
from datetime import UTC, datetime

from banyan.contracts.monitor import Figures, Now
from banyan.infra import databases
from banyan.infra.http_client import ServiceAway
from banyan.infra.settings import Settings
from banyan.monitor.adapters.envoy import Envoy
from banyan.monitor.adapters.everybody import Roll
from banyan.monitor.adapters.machine import Scales
from banyan.monitor.adapters.processes import Ears
from banyan.monitor.domain import measures
from banyan.monitor.domain.measures import Values
from banyan.monitor.domain.picture import Picture


class Lookout:
    """`now` is the last look; empty before the first."""

    def __init__(self, settings: Settings, picture: Picture) -> None:
        self.now: Now | None = None
        self.values: Values = {}
        self._settings = settings
        self._picture = picture
        self._roll = Roll(settings)
        self._scales = Scales(settings)
        self._envoy = Envoy(settings)
        sockets = {f"postgres-{server.name}": databases.socket_of(settings, server) for server in databases.SERVERS}
        self._ears = Ears(self._hear, socket=settings.socket, servers=sockets, every=settings.look)
        self._known = frozenset(sockets)

    async def look(self) -> None:
        """Without waiting for anybody: what each has said last counts."""
        everybody = await self._roll.call(now=datetime.now(UTC))
        self._ears.listen_to(
            seen.name for seen in everybody.processes if seen.kind == "process" or seen.name in self._known
        )
        machine = await asyncio.to_thread(self._scales.weigh, everybody)
        self.now = self._picture.look(everybody, machine, at=datetime.now(UTC))
        self.values = measures.measure(
            self.now,
            self._picture,
            envoy_cores=self._settings.envoy_concurrency,
            in_flight_limit=self._settings.in_flight,
        )

    async def look_at_envoy(self) -> None:
        begun = time.monotonic()
        try:
            clusters = await self._envoy.clusters()
        except ServiceAway:
            return
        self._picture.hear_envoy(clusters, at=datetime.now(UTC), took=time.monotonic() - begun)

    async def close(self) -> None:
        await self._ears.close()
        await self._envoy.close()

    def _hear(self, process: str, figures: Figures | None, took: float) -> None:
        self._picture.hear(process, figures, at=datetime.now(UTC), took=took)
