"""An embedded PostgreSQL server: as a supervisor's child, or without one by `banyan run postgres-core`."""

import asyncio
import sys

from banyan.infra import databases, embedded, http
from banyan.infra.databases import Server
from banyan.infra.embedded import Privileges
from banyan.infra.postgres import LOST
from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import Spec
from banyan.processes import installation

_LOOK_SECONDS = 0.1


async def run(settings: Settings, name: str) -> None:
    """Make the server's folder if there is none, run the server, and make its roles and databases. SIGTERM ends its
    sessions and stops it. Ends with the server."""
    server = server_named(name)
    rights = await asyncio.to_thread(embedded.privileges, settings)
    await asyncio.to_thread(embedded.initialise, settings, server, rights)
    process = await asyncio.create_subprocess_exec(
        *embedded.command(settings, server, rights), env=embedded.environ(), stdin=asyncio.subprocess.DEVNULL
    )
    providing = asyncio.create_task(_provide(settings, server))
    ended = asyncio.create_task(process.wait())
    stop = asyncio.create_task(http.stop_signal().wait())
    await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
    providing.cancel()
    if ended.done():
        sys.exit(f"banyan: PostgreSQL ended with {ended.result()}")
    process.send_signal(embedded.STOP_SIGNAL)
    await ended


def server_named(name: str) -> Server:
    return next(server for server in databases.SERVERS if f"postgres-{server.name}" == name)


def spec(settings: Settings, server: Server, rights: Privileges) -> Spec:
    """A server as a supervisor's child."""
    return Spec(
        name=f"postgres-{server.name}",
        kind="postgres",
        command=embedded.command(settings, server, rights),
        environ=embedded.environ(),
        stop_signal=embedded.STOP_SIGNAL,
        version=installation.here().postgres,
        probe=embedded.Readiness(settings, server),
    )


async def _provide(settings: Settings, server: Server) -> None:
    while True:
        try:
            await embedded.provide(settings, server)
            return
        except LOST:
            await asyncio.sleep(_LOOK_SECONDS)
