"""`/_banyan/health`: 200 when every process is ready, else 503 naming those that are not. Public, so it names no pid,
path, address or error; with BANYAN_HEALTH=brief it tells no more than that.

It needs neither a database nor monitor: who is ready stands in the supervisor's file, or each process says it itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import APIRouter, Request, Response

from banyan.clients.monitor import MonitorClient
from banyan.contracts.monitor import Now
from banyan.infra import edge, http
from banyan.infra.http_client import ServiceAway, ServiceRefused
from banyan.infra.settings import Settings
from banyan.infra.supervisor import sockets, state

_MONITOR_SECONDS = 0.4
_PROBE_SECONDS = 1.0
_KNOWN_FOR = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Found:
    """`states` by process; `started` once all were ready."""

    states: dict[str, str]
    started: bool
    processes: dict[str, dict[str, object]]


def router(settings: Settings) -> APIRouter:
    api = APIRouter(include_in_schema=False)
    by_sockets = _Shared(lambda: _by_sockets(settings))
    monitor = _Shared(lambda: _told_by_monitor(settings))

    @api.api_route("/_banyan/health", methods=["GET", "HEAD"])
    async def health(request: Request) -> Response:
        request.scope[edge.ELSEWHERE] = True
        living = state.read_living(settings)
        found, seen = await asyncio.gather(by_sockets.get() if living is None else _by_state(living), monitor.get())
        details = {} if settings.health == "brief" else {"details": _details(found, seen)}
        waiting = [name for name, how in found.states.items() if how != "ready"]
        if not found.states:
            return _answer(503, {"status": "unsupervised", "waiting_for": ["supervisor"]})
        if waiting or not found.started:
            status = "degraded" if found.started else "starting"
            return _answer(503, {"status": status, "waiting_for": waiting, **details})
        return _answer(200, {"status": "ready", "processes": list(found.states), **details})

    return api


class _Shared(Generic[T]):
    """An answer that is asked for twice a second, however many ask here."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Future[T] | None = None
        self._asked_at = 0.0

    async def get(self) -> T:
        if self._asking is None or time.monotonic() - self._asked_at > _KNOWN_FOR:
            self._asked_at = time.monotonic()
            self._asking = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._asking)


async def _told_by_monitor(settings: Settings) -> Now | None:
    """None where it does not answer, or nobody is to know."""
    if settings.health == "brief":
        return None
    client = MonitorClient(settings, patience=_MONITOR_SECONDS)
    try:
        return await client.now()
    except (ServiceAway, ServiceRefused):
        return None
    finally:
        await client.close()


async def _by_state(living: state.SupervisorState) -> _Found:
    processes: dict[str, dict[str, object]] = {
        child.name: {
            "state": child.state,
            "since": child.since,
            "restarts": child.restarts,
            **({"version": child.version} if child.version else {}),
        }
        for child in living.processes
    }
    return _Found({child.name: child.state for child in living.processes}, living.ready, processes)


async def _by_sockets(settings: Settings) -> _Found:
    """Without a supervisor those are expected that have a socket here."""
    ready = await sockets.are_ready(settings, within=_PROBE_SECONDS)
    states = {name: "ready" if up else "away" for name, up in ready.items()}
    return _Found(states, True, {name: {"state": how} for name, how in states.items()})


def _details(found: _Found, seen: Now | None) -> dict[str, object]:
    if seen is None:
        return {"processes": found.processes}
    told = {process.name: process for process in seen.processes}
    processes = dict(found.processes)
    for name, known in found.processes.items():
        if name in told:
            version = {"version": told[name].version} if told[name].version else {}
            processes[name] = {"since": told[name].since, "restarts": told[name].restarts, **version, **known}
    lags = [
        {"consumer": lag.consumer, "from": lag.source, "waiting": lag.waiting, "oldest_seconds": lag.oldest_seconds}
        for lag in seen.lags
    ]
    details: dict[str, object] = {"processes": processes, "queues": lags}
    if seen.disk is not None:
        details["disk"] = {"total_bytes": seen.disk.total_bytes, "free_bytes": seen.disk.free_bytes}
    return details


def _answer(status: int, body: dict[str, object]) -> Response:
    headers = {"cache-control": "no-store", **({"retry-after": "1"} if status == 503 else {})}
    return http.json_response(body, status, headers)
