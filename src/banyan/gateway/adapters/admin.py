"""Envoy's admin interface on its owner-only socket."""

import asyncio
from pathlib import Path
from typing import Literal

import aiohttp

from banyan.gateway.domain.tracing import SAMPLING

_POLL_SECONDS = 0.01
_CONFIRM_SECONDS = 15.0
_ANSWER_SECONDS = 5.0

Kind = Literal["clusters", "routes", "jwt", "rev"]
_PREFIX: dict[Kind, str] = {
    "clusters": "cluster_manager.cds",
    "routes": "http.front.rds.front",
    "jwt": "extension_config_discovery.http_filter.jwt",
    "rev": "extension_config_discovery.http_filter.rev",
}
_UPDATED = "|".join(prefix.replace(".", r"\.") for prefix in _PREFIX.values())
_READ = rf"^(({_UPDATED})\.(version_text|update_rejected|update_failure)|cluster_manager\.warming_clusters)$"


class EnvoyAway(Exception):
    """Envoy does not answer on its admin socket."""


class UpdateRejected(Exception):
    """Envoy has read a file and would not take it."""


class Admin:
    """One connection per call: calls are rare, and no connection outlives a restart of Envoy."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    async def ready(self) -> bool:
        """Whether Envoy is live: initialised and not draining."""
        try:
            return (await self._call("GET", "/ready")).strip() == "LIVE"
        except EnvoyAway:
            return False

    async def stats(self, regex: str) -> dict[str, int | str]:
        """Counters, gauges and texts whose name matches. Raises EnvoyAway."""
        text = await self._call("GET", "/stats", filter=regex)
        found: dict[str, int | str] = {}
        for line in text.splitlines():
            name, _, value = line.partition(": ")
            found[name] = int(value) if value.isdigit() else value.strip('"')
        return found

    async def serving(self) -> str | None:
        """The version of the routes that Envoy serves; None when it is away or has none."""
        return (await self.versions()).get("routes")

    async def versions(self) -> dict[Kind, str]:
        """What Envoy serves of each kind; nothing when it is away."""
        try:
            found = await self.stats(_READ)
        except EnvoyAway:
            return {}
        versions = {kind: str(found.get(f"{prefix}.version_text", "")) for kind, prefix in _PREFIX.items()}
        return {kind: version for kind, version in versions.items() if version}

    async def counters(self) -> dict[str, int | str]:
        """What `confirm` compares with: take them before a file is written. Raises EnvoyAway."""
        return await self.stats(_READ)

    async def confirm(self, kind: Kind, version: str, *, before: dict[str, int | str]) -> None:
        """Wait until Envoy has that version. Raises UpdateRejected, EnvoyAway."""
        prefix = _PREFIX[kind]
        for _ in range(int(_CONFIRM_SECONDS / _POLL_SECONDS)):
            now = await self.stats(_READ)
            warming = kind == "clusters" and now.get("cluster_manager.warming_clusters", 0) != 0
            if now.get(f"{prefix}.version_text") == version and not warming:
                return
            for fault in ("update_rejected", "update_failure"):
                if _count(now, f"{prefix}.{fault}") > _count(before, f"{prefix}.{fault}"):
                    raise UpdateRejected(f"Envoy rejected the {kind}")
            await asyncio.sleep(_POLL_SECONDS)
        raise UpdateRejected(f"Envoy did not take the {kind} within {_CONFIRM_SECONDS:.0f} s")

    async def drain(self) -> None:
        """Ask clients to come anew: answers say `connection: close`; listeners close when the drain time is over."""
        await self._call("POST", "/drain_listeners", graceful="")

    async def active_requests(self) -> int:
        """Requests in flight at the front door. Raises EnvoyAway."""
        return _count(await self.stats(r"^http\.front\.downstream_rq_active$"), "http.front.downstream_rq_active")

    async def seen_requests(self) -> int:
        """Requests that the front door has had since it started. Raises EnvoyAway."""
        return _count(await self.stats(r"^http\.front\.downstream_rq_total$"), "http.front.downstream_rq_total")

    async def sample(self, percent: int) -> None:
        """From now on trace this part of the requests. Raises EnvoyAway."""
        await self._call("POST", "/runtime_modify", **{SAMPLING: str(percent)})

    async def reopen_logs(self) -> None:
        """After the access log was moved away. Raises EnvoyAway."""
        await self._call("POST", "/reopen_logs")

    async def _call(self, method: str, path: str, **query: str) -> str:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        connector = aiohttp.UnixConnector(path=str(self._socket_path), force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(method, f"http://envoy{path}", params=query) as answer,
            ):
                return await answer.text()
        except (aiohttp.ClientError, OSError, TimeoutError) as fault:
            raise EnvoyAway(str(fault)) from fault


def _count(stats: dict[str, int | str], name: str) -> int:
    return int(stats.get(name, 0))
