"""`banyan run NAME`: one process, for the supervisor or any other scheduler."""

import importlib
import os
import sys
from collections.abc import Awaitable, Callable

import uvloop

from banyan.infra import logs
from banyan.infra.settings import SettingError, Settings
from banyan.infra.supervisor import backstop, reload, state, turns
from banyan.infra.supervisor.state import AlreadyRunning
from banyan.infra.telemetry import export, farewell
from banyan.infra.telemetry.figures import LEDGER
from banyan.processes import registry


class UnknownProcess(Exception):
    """There is no process of that name."""


def run(name: str, settings: Settings) -> None:
    """Run a process until SIGTERM. Raises UnknownProcess, AlreadyRunning."""
    known = {process.name: process for process in (*registry.PROCESSES, *registry.SERVERS, registry.ENVOY)}
    if name not in known:
        raise UnknownProcess(f"There is no process '{name}'. There are: {', '.join(sorted(known))}.")
    state.refuse_half_restored(settings)
    os.umask(0o077)
    logs.configure(name)
    module = importlib.import_module(known[name].module)
    settings.make_folders()
    if known[name] in registry.SERVERS:
        uvloop.run(module.run(settings, name))
        return
    if known[name] is registry.ENVOY:
        uvloop.run(module.run(settings))
        return
    backstop.keep_within(settings, name)
    reload.note_modules(settings, name)
    tracing = export.Beginning(name, settings)
    turns.wait()
    LEDGER.relieves = farewell.take(settings, name)
    try:
        uvloop.run(_with_faults(settings, name, module.run) if settings.demo else module.run(settings))
        farewell.leave(settings, name)
    finally:
        tracing.end()


async def _with_faults(settings: Settings, name: str, process: Callable[[Settings], Awaitable[None]]) -> None:
    from banyan.infra.faults import agent  # no process outside the demo loads it

    with agent.listening(settings, name):
        await process(settings)


def main() -> None:
    """The supervisor's short way in, without the command line's own imports."""
    try:
        run(sys.argv[1], Settings.read(os.environ))
    except (SettingError, UnknownProcess, AlreadyRunning) as fault:
        sys.exit(f"banyan: {fault}")


if __name__ == "__main__":
    main()
