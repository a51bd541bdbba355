"""`banyan restart` and `banyan upgrade`: one process after the other; whoever asks meanwhile waits in its socket."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import Child
from banyan.infra.supervisor.control import Handler, Wish
from banyan.infra.supervisor.supervisor import Supervisor
from banyan.infra.supervisor.turns import NotLoaded
from banyan.kit.errors import Refused
from banyan.processes import installation
from banyan.processes.installation import Installation

_LOOK = 0.02


class OnlyOurOwn(Refused):
    """Only Banyan's processes can be run by another installation; Envoy and PostgreSQL need a full restart."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    ready: bool
    detail: str = ""
    untouched: bool = False


def handlers(settings: Settings, supervisor: Supervisor) -> dict[str, Handler]:
    turn = asyncio.Lock()
    environ = {**os.environ, **settings.environ()}

    async def restart(wish: Wish) -> Wish:
        child = supervisor.child(str(wish.get("name", "")))
        async with turn:
            outcome = await _again(child, "asked to", patience=settings.ready_timeout)
        return {"ready": outcome.ready, "detail": outcome.detail, "version": child.spec.version}

    async def prepare_upgrade(wish: Wish) -> Wish:
        python = Path(str(wish.get("python", "")))
        async with turn:
            other = await installation.look(python, environ)
            migrated = await installation.migrate(python, environ)
        running = {
            name: _who_runs(child) for name, child in supervisor.children.items() if child.spec.kind == "process"
        }
        return {
            "version": other.version,
            "migrated": migrated,
            "processes": [name for name in other.processes if name in running],
            "was": running,
            "later": _later(other, set(running)),
        }

    async def upgrade(wish: Wish) -> Wish:
        child = supervisor.child(str(wish.get("name", "")))
        if child.spec.kind != "process":
            raise OnlyOurOwn
        python, version = str(wish.get("python", "")), str(wish.get("version", ""))
        after = installation.command(python, child.spec.name)
        async with turn:
            before, was = child.spec, _who_runs(child)
            outcome = await _again(
                child, f"upgrade to {version}", patience=settings.upgrade_patience, command=after, version=version
            )
            back = True
            if not (outcome.ready or outcome.untouched):
                returned = await _again(
                    child,
                    f"back to {before.version}",
                    patience=settings.ready_timeout,
                    command=before.command,
                    version=before.version,
                )
                back = returned.ready
        return {
            "ready": outcome.ready,
            "detail": outcome.detail,
            "back": back,
            "was": was,
        }

    return {"restart": restart, "prepare-upgrade": prepare_upgrade, "upgrade": upgrade}


def _who_runs(child: Child) -> Wish:
    return {"python": child.spec.command[0], "version": child.spec.version}


async def _again(
    child: Child, reason: str, *, patience: float, command: list[str] | None = None, version: str | None = None
) -> _Outcome:
    """Restart a child; whether it became ready. One that dies first is not waited for any longer."""
    ends = child.state.restarts + (2 if child.state.pid is not None else 1)  # that of the present one, and another
    if child.spec.kind != "process":
        await child.restart(reason)
    else:
        try:
            await child.replace(reason, command=command, version=version, within=patience)
        except NotLoaded as fault:
            return _Outcome(False, str(fault), untouched=True)
    deadline = asyncio.get_running_loop().time() + patience
    while asyncio.get_running_loop().time() < deadline:
        if child.state.state == "ready":
            return _Outcome(True)
        if child.state.restarts >= ends:
            return _Outcome(False, child.state.detail or "it died before it was ready")
        await asyncio.sleep(_LOOK)
    return _Outcome(
        False, f"not ready within {patience:.0f} s" + (f": {child.state.detail}" if child.state.detail else "")
    )


def _later(other: Installation, running: set[str]) -> list[str]:
    """What goes on as it is until the next `banyan up`."""
    here = installation.here()
    later = []
    if other.version != here.version:
        later.append(f"the supervisor ({here.version} -> {other.version})")
    if other.envoy != here.envoy:
        later.append(f"Envoy ({here.envoy} -> {other.envoy})")
    if other.postgres != here.postgres:
        later.append(f"PostgreSQL ({here.postgres} -> {other.postgres})")
    later += [f"the process {name}, which is new" for name in other.processes if name not in here.processes]
    later += [f"the process {name}, which is no more" for name in sorted(running - set(other.processes))]
    return later
