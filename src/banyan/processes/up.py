"""`banyan up`: the databases, every process and Envoy on one machine, in that order."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from banyan.gateway.adapters import envoy
from banyan.gateway.adapters.admin import EnvoyAway
from banyan.gateway.adapters.data_plane import DataPlane
from banyan.infra import databases, embedded, http
from banyan.infra.databases import Server
from banyan.infra.embedded import Privileges
from banyan.infra.settings import Settings
from banyan.infra.supervisor import logs, probe, reload
from banyan.infra.supervisor.child import Spec
from banyan.infra.supervisor.supervisor import Progress, Supervisor
from banyan.processes import registry

_LOOK_AT_ACCESS_LOG = 5.0
_LOOK_AT_REQUESTS = 0.02


class PortTaken(Exception):
    """Another program listens where the front door should be."""


async def up(settings: Settings, progress: Progress) -> None:
    """Run until a signal asks to stop. Raises PortTaken, AlreadyRunning, EmbeddedPostgresError."""
    settings.make_folders()
    async with Supervisor(settings, progress) as supervisor:
        check_port(settings)
        if settings.reload:
            supervisor.beside(reload.watch(settings, supervisor, _watched_folders()))
        await _start_databases(settings, supervisor)
        await supervisor.start(_processes(settings), wait=settings.ready_timeout)
        plane = DataPlane(settings)
        await plane.prepare()
        await supervisor.start([_envoy(settings, plane)], wait=settings.ready_timeout)
        supervisor.beside(_rotate_access_log(settings, plane))
        if not supervisor.stop_asked:
            supervisor.announce_ready()
            progress.say(f"Banyan is ready at {settings.url}")
        await supervisor.wait_for_stop()
        progress.say("Stopping ...")


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


async def _start_databases(settings: Settings, supervisor: Supervisor) -> None:
    servers = [server for server in databases.SERVERS if not all(map(databases.foreign_url, server.databases))]
    if not servers:
        return
    rights = await asyncio.to_thread(embedded.privileges, settings)
    await asyncio.gather(*(asyncio.to_thread(embedded.initialise, settings, server, rights) for server in servers))
    await supervisor.start([_postgres(settings, server, rights) for server in servers], wait=settings.ready_timeout)


def _postgres(settings: Settings, server: Server, rights: Privileges) -> Spec:
    return Spec(
        name=f"postgres-{server.name}",
        kind="postgres",
        command=embedded.command(settings, server, rights),
        environ={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        stop_signal=embedded.STOP_SIGNAL,
        probe=embedded.Readiness(settings, server),
    )


def _processes(settings: Settings) -> list[Spec]:
    demo_site = settings.demo and not settings.legacy_url and not settings.no_legacy
    return [_process(settings, process.name) for process in registry.PROCESSES if demo_site or not process.demo_only]


def _process(settings: Settings, name: str) -> Spec:
    path = settings.socket(name)
    return Spec(
        name=name,
        kind="process",
        command=[sys.executable, "-m", "banyan.processes.run", name],
        environ={**_inherited(), **settings.environ()},
        # Held here, so that a connection made while the process restarts waits instead of being refused.
        listener=http.listening_socket(path),
        probe=lambda: probe.http_ready(path, "/ready"),
    )


def _inherited() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if name != "BANYAN_LISTEN_FD"}


def _envoy(settings: Settings, plane: DataPlane) -> Spec:
    admin = settings.socket("envoy-admin")

    async def ready() -> None:
        await probe.http_ready(admin, "/ready")
        await probe.tcp_open(settings.host, settings.port)  # /ready is 200 even when the listener was refused

    return Spec(
        name="envoy",
        kind="envoy",
        command=envoy.envoy_command(settings),
        environ={"PATH": os.environ.get("PATH", "")},
        probe=ready,
        before_stop=lambda: _drain(settings, plane),
        stop_signal=signal.SIGTERM,
    )


async def _drain(settings: Settings, plane: DataPlane) -> None:
    """Let nobody new in and give requests in flight their time; SIGTERM alone ends Envoy in the middle of them."""
    await plane.admin.drain()
    for _ in range(round(settings.drain / _LOOK_AT_REQUESTS)):
        if not await plane.admin.active_requests():
            return
        await asyncio.sleep(_LOOK_AT_REQUESTS)


async def _rotate_access_log(settings: Settings, plane: DataPlane) -> None:
    """Envoy writes its access log itself, for speed; here it is only cut into files."""
    path = settings.logs / "access.log"
    while True:
        await asyncio.sleep(_LOOK_AT_ACCESS_LOG)
        with contextlib.suppress(OSError, EnvoyAway):
            if path.stat().st_size > settings.log_bytes:
                logs.rotate(path, settings.log_files)
                await plane.admin.reopen_logs()


def _watched_folders() -> list[Path]:
    source = Path(__file__).parents[1]
    beside = source.parents[1] / "old_site"
    return [folder for folder in (source, beside) if folder.is_dir()]
