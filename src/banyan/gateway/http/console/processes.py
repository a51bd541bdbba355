"""Every process as it is now: its state from the supervisor, which stands beside us, its figures from monitor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from banyan.contracts.monitor import Alert, Now, ProcessNow
from banyan.gateway.http.console import alarms
from banyan.gateway.http.console import map as drawing
from banyan.infra.supervisor.state import SupervisorState

_ON_ITS_WAY = ("starting", "stopping")


@dataclass(frozen=True, slots=True)
class Row:
    now: ProcessNow
    role: drawing.Role
    alerts: list[Alert]
    """Those that fire about it."""

    @property
    def mood(self) -> str:
        """`well`, `changing` or `wrong`."""
        if self.alerts or self.now.state not in ("ready", *_ON_ITS_WAY):
            return "wrong"
        return "well" if self.now.state == "ready" else "changing"

    @property
    def said_by_its_state(self) -> list[str]:
        """The rules whose alerts say nothing that the state does not."""
        return [alert.rule for alert in self.alerts if alarms.figure(alert) == "process.away" and not self.is_ready]

    @property
    def is_ready(self) -> bool:
        return self.now.state == "ready"

    @property
    def memory_share(self) -> float | None:
        used, limit = self.now.memory_bytes, self.now.memory_limit_bytes
        return min(1.0, used / limit) if used is not None and limit else None


def rows(living: SupervisorState | None, now: Now | None) -> list[Row]:
    """In the supervisor's order, or in monitor's where there is none."""
    firing = [alert for alert in now.alerts if alert.state == "firing"] if now else []
    return [
        Row(process, drawing.role_of(process.name, process.kind), _about(process.name, firing))
        for process in _merged(living, now)
    ]


def _merged(living: SupervisorState | None, now: Now | None) -> list[ProcessNow]:
    known = {process.name: process for process in now.processes} if now else {}
    if living is None:
        return list(known.values())
    merged = []
    for child in living.processes:
        found = known.get(child.name) or ProcessNow(child.name, child.kind, child.state, child.since)
        merged.append(
            replace(
                found,
                kind=child.kind,
                state=child.state,
                since=child.since,
                restarts=child.restarts,
                detail=child.detail or found.detail,
                version=found.version or ("" if child.kind != "process" else living.version),
            )
        )
    return merged


def _about(name: str, firing: Sequence[Alert]) -> list[Alert]:
    return [alert for alert in firing if alarms.process(alert) == name]
