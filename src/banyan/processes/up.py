"""`banyan up`: the databases, every process and Envoy on one machine, in that order."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from banyan.gateway.adapters import worlds
from banyan.gateway.adapters.data_plane import DataPlane
from banyan.infra import databases, embedded, http
from banyan.infra.replicas.keeper import Keeper
from banyan.infra.settings import Settings
from banyan.infra.supervisor import memory, probe, reload
from banyan.infra.supervisor.child import Spec
from banyan.infra.supervisor.control import Control, Handler
from banyan.infra.supervisor.supervisor import Progress, Supervisor
from banyan.messaging import choosing
from banyan.processes import archiving, envoy, faults, installation, postgres, registry, replicas, restarting
from banyan.processes.registry import Process

_DATABASE_URL = re.compile(r"BANYAN_([A-Z]+)_DATABASE_URL")
_RELAY_URL = re.compile(r"BANYAN_RELAY_([A-Z]+)_URL")


class PortTaken(Exception):
    """Another program listens where the front door should be."""


async def up(settings: Settings, progress: Progress) -> None:
    """Run until a signal asks to stop. Raises PortTaken, AlreadyRunning, EmbeddedPostgresError, Refusal, OSError."""
    os.umask(0o077)
    settings.make_folders()
    async with Supervisor(settings, progress) as supervisor:
        check_port(settings)
        await choosing.check(settings)
        plane = DataPlane(settings)
        await plane.validate(worlds.defaults(settings))  # finds a certificate or an address that Envoy would not take
        if settings.reload:
            supervisor.beside(reload.watch(settings, supervisor, _watched_folders()))
        keeper = Keeper(settings, supervisor, postgres.spec)
        supervisor.beside(Control(settings, handlers(settings, supervisor, keeper)).listen())
        await _start_databases(settings, supervisor, keeper)
        await supervisor.start(_processes(settings), wait=settings.ready_timeout)
        await plane.prepare()
        await supervisor.start([_envoy(settings, plane)], wait=settings.ready_timeout)
        supervisor.beside(memory.watch(settings, supervisor))
        supervisor.beside(envoy.rotate_access_log(settings, plane))
        supervisor.beside(archiving.watch(settings, supervisor, progress))
        if not supervisor.stop_asked:
            supervisor.announce_ready()
            progress.say(f"Banyan is ready at {settings.url}")
        await supervisor.wait_for_stop()
        progress.say("Stopping ...")


def handlers(settings: Settings, supervisor: Supervisor, keeper: Keeper) -> dict[str, Handler]:
    """What may be asked of a running `banyan up`, each in a file of its own beside this one."""
    return {
        **restarting.handlers(settings, supervisor),
        **faults.handlers(settings, supervisor),
        **replicas.handlers(keeper),
    }


def check_port(settings: Settings) -> None:
    """Raises PortTaken, naming the port, unless the front door can listen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as fault:
        raise PortTaken(
            f"Port {settings.port} on {settings.host} cannot be had ({fault.strerror or fault}). "
            "Stop the program that holds it, or choose another with --port."
        ) from fault


async def _start_databases(settings: Settings, supervisor: Supervisor, keeper: Keeper) -> None:
    servers = [server for server in databases.SERVERS if not all(map(databases.foreign_url, server.databases))]
    if not servers:
        return
    rights = await asyncio.to_thread(embedded.privileges, settings)
    servers = await asyncio.to_thread(keeper.begin, servers, rights)
    await asyncio.gather(*(asyncio.to_thread(embedded.initialise, settings, server, rights) for server in servers))
    supervisor.beside(keeper.keep())
    await supervisor.start([postgres.spec(settings, server, rights) for server in servers], wait=settings.ready_timeout)


def _processes(settings: Settings) -> list[Spec]:
    demo_site = settings.demo and not settings.legacy_url and not settings.no_legacy
    return [_process(settings, process) for process in registry.PROCESSES if demo_site or not process.demo_only]


def _process(settings: Settings, process: Process) -> Spec:
    here = installation.here()
    path = settings.socket(process.name)
    return Spec(
        name=process.name,
        kind="process",
        command=installation.command(here.python, process.name),
        version=here.version,
        environ=environ(process, {**os.environ, **settings.environ()}),
        # Held here, so that a connection made while the process restarts waits instead of being refused.
        listener=http.listening_socket(path),
        probe=lambda: probe.http_ready(path, "/ready"),
        hang_timeout=process.hang_timeout,
    )


def environ(process: Process, given: Mapping[str, str]) -> dict[str, str]:
    """What a process is told: everything but the secrets that others live by."""
    return {name: value for name, value in given.items() if _may_know(process, name)}


def _may_know(process: Process, variable: str) -> bool:
    if match := _DATABASE_URL.fullmatch(variable):
        return match[1].lower() in process.reaches()
    if _RELAY_URL.fullmatch(variable):
        return process.name == "relay"
    if variable == "BANYAN_BACKUP_PASSPHRASE":
        return False
    if variable.startswith("AWS_"):
        return "bus" in process.reaches()  # who tells or hears of events, and keeps them
    if variable == "BANYAN_SMTP_URL":
        return process.name in ("iam", "monitor")
    return variable != http.LISTEN_VARIABLE


def _envoy(settings: Settings, plane: DataPlane) -> Spec:
    return Spec(
        name="envoy",
        kind="envoy",
        command=envoy.command(settings),
        environ=envoy.environ(),
        probe=lambda: envoy.ready(settings),
        before_stop=lambda: envoy.drain(settings, plane),
        stop_signal=signal.SIGTERM,
        version=installation.here().envoy,
    )


def _watched_folders() -> list[Path]:
    source = Path(__file__).parents[1]
    beside = source.parents[1] / "old_site"
    return [folder for folder in (source, beside) if folder.is_dir()]
