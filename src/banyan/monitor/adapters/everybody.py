"""Who is expected to run: what the supervisor has written; without one, whoever has a socket in the run folder."""

from datetime import datetime

from banyan.infra.settings import Settings
from banyan.infra.supervisor import sockets, state
from banyan.monitor.domain.sights import Everybody, Seen

_READY_SECONDS = 2.0


class Roll:
    """Remembers since when a process that nobody supervises is as it is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._since: dict[str, tuple[str, datetime]] = {}

    async def call(self, *, now: datetime) -> Everybody:
        living = state.read_living(self._settings)
        if living is None:
            return Everybody(await self._by_sockets(now=now))
        return Everybody([_seen(child) for child in living.processes], living.started_at, living.ready, living.pid)

    async def _by_sockets(self, *, now: datetime) -> list[Seen]:
        ready = await sockets.are_ready(self._settings, within=_READY_SECONDS)
        return [self._noted(name, up, now=now) for name, up in ready.items()]

    def _noted(self, name: str, up: bool, *, now: datetime) -> Seen:
        found = "ready" if up else "away"
        before, since = self._since.get(name, ("", now))
        self._since[name] = (found, since if before == found else now)
        return Seen(name, "envoy" if name == "envoy" else "process", found, self._since[name][1])


def _seen(child: state.ChildState) -> Seen:
    return Seen(
        name=child.name,
        kind=child.kind,
        state=child.state,
        since=child.since,
        restarts=child.restarts,
        wanted=child.wanted,
        ended=child.ended,
        detail=child.detail,
        pid=child.pid,
    )
