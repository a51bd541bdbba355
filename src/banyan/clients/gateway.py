"""The control plane, as the command line calls it: over the gateway process's own socket."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import quote

from banyan.contracts.gateway import Applied, NewRoute, Plan, RouteChange, RouteList, RouteRow, Side
from banyan.infra.http_client import HttpClient, ServiceAway, ServiceRefused
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.kit.errors import Unavailable
from banyan.kit.paging import Page

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.1


class ControlPlaneAway(Unavailable):
    """The control plane does not answer: see `banyan status`, and if nothing runs, `banyan up`. What is served stays
    as it is, and `banyan gateway kill-switch on` works without it."""


class GatewayClient:
    """Every call waits out a restart of the gateway process, where a supervisor lives that restarts it. A change that
    was made before its answer was lost is recognised when it is tried again."""

    def __init__(self, settings: Settings) -> None:
        # The process itself gives up sooner on a hung database, and its answer says more than our time-out would.
        self._http = HttpClient(settings.socket("gateway"), "gateway", timeout=30.0)
        self._patience = PATIENCE_SECONDS if state.read_living(settings) else PATIENCE_SECONDS / 20

    async def routes(self) -> list[RouteRow]:
        answer = await self._patiently(lambda: self._http.get("/control/routes", RouteList))
        return answer.items

    async def move(self, name: str, *, side: Side) -> Applied:
        path = f"/control/routes/{quote(name, safe='')}/side"
        return await self._patiently(lambda: self._http.call("PUT", path, Applied, body={"side": side}))

    async def add(self, route: NewRoute) -> Applied | None:
        """None where an earlier try had added it already."""
        return await self._once(
            lambda: self._http.call("POST", "/control/routes", Applied, body=route), done="route-exists"
        )

    async def remove(self, name: str) -> Applied | None:
        """None where an earlier try had removed it already."""
        path = f"/control/routes/{quote(name, safe='')}"
        return await self._once(lambda: self._http.call("DELETE", path, Applied), done="route-unknown")

    async def plan(self) -> Plan:
        return await self._patiently(lambda: self._http.get("/control/plan", Plan))

    async def changes(self, *, limit: int = 20) -> Page[RouteChange]:
        return await self._patiently(
            lambda: self._http.get("/control/changes", Page[RouteChange], params={"limit": str(limit)})
        )

    async def close(self) -> None:
        await self._http.close()

    async def _once(self, call: Callable[[], Awaitable[T]], *, done: str) -> T | None:
        tries = 0

        async def attempt() -> T | None:
            nonlocal tries
            tries += 1
            try:
                return await call()
            except ServiceRefused as refusal:
                if tries > 1 and refusal.slug == done:
                    return None
                raise

        return await self._patiently(attempt)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return await call()
            except ServiceAway as fault:
                if time.monotonic() > deadline:
                    if fault.__cause__ is None:
                        raise  # it did answer, and said what is away
                    raise ControlPlaneAway from fault
                await asyncio.sleep(_PAUSE_SECONDS)
