"""`banyan fault`: the supervisor's half. Outside the demo it only refuses."""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec
import structlog

from banyan.infra import databases
from banyan.infra.databases import Server
from banyan.infra.faults import kinds
from banyan.infra.faults.kinds import Ailment, Fault
from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import Child
from banyan.infra.supervisor.control import Handler, Wish
from banyan.infra.supervisor.supervisor import Supervisor
from banyan.processes import registry

log = structlog.get_logger()

_HOLDS_WITHIN = 10.0
_LOOK = 0.02
_AGENT_SECONDS = 5.0


def handlers(settings: Settings, supervisor: Supervisor) -> dict[str, Handler]:
    faults = Faults(settings, supervisor)
    if settings.demo:
        supervisor.beside(faults.until_stop())
    return {"fault-add": faults.add, "fault-list": faults.list, "fault-end": faults.end}


@dataclass(frozen=True, slots=True)
class _Made:
    fault: Fault
    task: asyncio.Task[None]


class Faults:
    """Those that last. A fault ends after its time, when it is ended, when its process does, and at a stop."""

    def __init__(self, settings: Settings, supervisor: Supervisor) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._made: dict[str, _Made] = {}

    async def add(self, wish: Wish) -> Wish:
        kinds.check_demo(self._settings)
        try:
            fault = msgspec.convert(wish, Fault)
        except msgspec.ValidationError as error:
            raise kinds.NoSense(str(error)) from error
        child = self._supervisor.child(fault.process)
        kinds.check(fault, child.spec.kind, _servers(fault.process))
        if child.state.pid is None:
            raise kinds.NotRunning
        await self._end(fault.name)
        holds = asyncio.Event()
        task = asyncio.create_task(self._make(fault, child, holds))
        made = _Made(replace(fault, since=datetime.now(UTC)), task)
        self._made[fault.name] = made
        task.add_done_callback(lambda _: self._forget(made))
        waiting = asyncio.create_task(holds.wait())
        await asyncio.wait({task, waiting}, timeout=_HOLDS_WITHIN, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            await task  # raises what went wrong
        return {"fault": _told(made.fault)}

    async def list(self, _: Wish) -> Wish:
        kinds.check_demo(self._settings)
        return {"items": [_told(made.fault) for made in self._made.values()]}

    async def end(self, wish: Wish) -> Wish:
        """Those of that name or of that process; all of them where none is named. Raises NoSuchFault."""
        kinds.check_demo(self._settings)
        name = str(wish.get("name", ""))
        wanted = [each for each, made in self._made.items() if name in ("", each, made.fault.process)]
        if name and not wanted:
            raise kinds.NoSuchFault
        await asyncio.gather(*(self._end(each) for each in wanted))
        return {"ended": wanted}

    async def until_stop(self) -> None:
        """Wait until Banyan is stopped; then end them all."""
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.gather(*(self._end(name) for name in list(self._made)), return_exceptions=True)

    async def _end(self, name: str) -> None:
        made = self._made.pop(name, None)
        if made is not None:
            made.task.cancel()
            await asyncio.wait({made.task})

    def _forget(self, made: _Made) -> None:
        if self._made.get(made.fault.name) is made:
            del self._made[made.fault.name]
        if not made.task.cancelled() and (error := made.task.exception()) is not None:
            log.warning("a fault could not be made", fault=made.fault.name, reason=repr(error))

    def _make(self, fault: Fault, child: Child, holds: asyncio.Event) -> Coroutine[None, None, None]:
        if fault.kind is Ailment.db_hang and child.spec.kind == "process":
            server = self._supervisor.children.get(_servers(fault.process)[0])
            if server is None or server.state.pid is None:
                raise kinds.NoSense(f"The database of {fault.process} is not on a server of this Banyan's.")
            return self._outside(replace(fault, kind=Ailment.hang), server, holds)
        if child.spec.kind == "process":
            return self._inside(fault, child, holds)
        return self._outside(fault, child, holds)

    def _outside(self, fault: Fault, child: Child, holds: asyncio.Event) -> Coroutine[None, None, None]:
        from banyan.infra.harm import servers

        pid, for_all = child.state.pid or 0, (lambda: child.state.pid)
        match fault.kind:
            case Ailment.hang | Ailment.db_hang:
                work = servers.frozen(pid, fault.seconds, stop=fault.seconds, run=0.0, holds=holds)
            case Ailment.slow:
                work = servers.slowed(pid, fault, holds=holds)
            case Ailment.crash:
                work = servers.killed(for_all, fault.seconds, holds=holds)
            case Ailment.disk_full:
                work = servers.disk_full(for_all, fault.seconds, holds=holds)
            case Ailment.cpu if child.spec.kind == "envoy":
                work = servers.beside(fault.seconds, fault.workers, holds=holds)
            case Ailment.cpu:
                work = servers.spinning(self._settings, _server(fault.process), fault, holds=holds)
            case Ailment.memory:
                work = servers.hoarding(self._settings, _server(fault.process), fault, holds=holds)
            case Ailment.errors:
                work = servers.sessions_ended(self._settings, _server(fault.process), fault, holds=holds)
        return work

    async def _inside(self, fault: Fault, child: Child, holds: asyncio.Event) -> None:
        if fault.kind is Ailment.crash:
            await self._crash(fault, child, holds)
            return
        pid = child.state.pid
        await self._tell(fault.process, {"add": _told(fault)})
        holds.set()
        deadline = asyncio.get_running_loop().time() + fault.seconds
        try:
            while (left := deadline - asyncio.get_running_loop().time()) > 0:
                if child.state.pid != pid:
                    return
                await asyncio.sleep(min(_LOOK, left))
        finally:
            if child.state.pid == pid:
                with contextlib.suppress(kinds.NotRunning):
                    await self._tell(fault.process, {"end": fault.kind})

    async def _crash(self, fault: Fault, child: Child, holds: asyncio.Event) -> None:
        """By its own hand; one that is still starting cannot hear yet and is asked again."""
        deadline = asyncio.get_running_loop().time() + fault.seconds
        dead = None
        while True:
            if child.state.pid not in (None, dead):
                with contextlib.suppress(kinds.NotRunning):
                    victim = child.state.pid
                    await self._tell(fault.process, {"add": _told(fault)})
                    dead = victim
                    holds.set()
            if asyncio.get_running_loop().time() >= deadline:
                return
            await asyncio.sleep(_LOOK)

    async def _tell(self, process: str, wish: Wish) -> None:
        """Raises NotRunning if the process cannot hear."""
        from banyan.infra.faults import agent

        try:
            async with asyncio.timeout(_AGENT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(agent.socket_path(self._settings, process))
                try:
                    writer.write(msgspec.json.encode(wish) + b"\n")
                    await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as fault:
            raise kinds.NotRunning from fault


def _servers(process: str) -> list[str]:
    """The servers of a process's own databases."""
    known = next((each for each in registry.PROCESSES if each.name == process), None)
    return [f"postgres-{databases.server_of(name).name}" for name in known.databases] if known else []


def _server(child: str) -> Server:
    """Raises NoSense for a server that is none of the three."""
    found = next((server for server in databases.SERVERS if child == f"postgres-{server.name}"), None)
    if found is None:
        raise kinds.NoSense(f"{child} takes no sessions of the supervisor's; hang, slow and crash it.")
    return found


def _told(fault: Fault) -> Wish:
    told: Wish = {**msgspec.to_builtins(fault), "name": fault.name}
    return told
