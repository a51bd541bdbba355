"""A program for the tests: the server `core` under a supervisor, with its keeper, as `banyan up` runs it.

BREAK_AT=module.function[:after] ends it with SIGKILL when that is called (or has been done): a supervisor that is
killed in the middle of something. FAIL_ONCE_AT raises there instead, the first time.
"""

import asyncio
import importlib
import inspect
import os
import signal
import sys
from typing import Any

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.embedded import Privileges
from banyan.infra.replicas.keeper import Keeper
from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import Spec
from banyan.infra.supervisor.control import Control
from banyan.infra.supervisor.supervisor import Supervisor
from banyan.processes import replicas
from tests.infra.supervised import Printing

CORE = databases.server_of("learning")


def spec(settings: Settings, server: Server, rights: Privileges) -> Spec:
    return Spec(
        name=f"postgres-{server.name}",
        kind="postgres",
        command=embedded.command(settings, server, rights),
        environ={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        stop_signal=embedded.STOP_SIGNAL,
        probe=embedded.Readiness(settings, server),
    )


def break_at(where: str) -> None:
    place, _, after = where.partition(":")
    module_name, _, name = place.rpartition(".")
    module = importlib.import_module(f"banyan.infra.replicas.{module_name}")
    original = getattr(module, name)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    async def breaking_async(*given: Any, **named: Any) -> Any:
        if not after:
            die()
        await original(*given, **named)
        die()

    def breaking(*given: Any, **named: Any) -> Any:
        if not after:
            die()
        original(*given, **named)
        die()

    setattr(module, name, breaking_async if inspect.iscoroutinefunction(original) else breaking)


def fail_once_at(where: str) -> None:
    module_name, _, name = where.rpartition(".")
    module = importlib.import_module(f"banyan.infra.replicas.{module_name}")
    original = getattr(module, name)

    def failing(*given: Any, **named: Any) -> Any:
        setattr(module, name, original)
        raise OSError("no such luck")

    setattr(module, name, failing)


async def main() -> None:
    settings = Settings.read(os.environ)
    settings.make_folders()
    async with Supervisor(settings, Printing()) as supervisor:
        keeper = Keeper(settings, supervisor, spec)
        supervisor.beside(Control(settings, replicas.handlers(keeper)).listen())
        rights = embedded.privileges(settings)
        for server in keeper.begin([CORE], rights):
            embedded.initialise(settings, server, rights)
            await supervisor.start([spec(settings, server, rights)], wait=20)
        supervisor.beside(keeper.keep())
        supervisor.announce_ready()
        print("all started", flush=True)
        await supervisor.wait_for_stop()


if __name__ == "__main__":
    if where := os.environ.get("BREAK_AT"):
        break_at(where)
    if where := os.environ.get("FAIL_ONCE_AT"):
        fail_once_at(where)
    sys.exit(asyncio.run(main()))
