"""An embedded PostgreSQL server without a supervisor: `banyan run postgres-core`."""

import asyncio
import os
import sys

import asyncpg

from banyan.infra import databases, embedded, http
from banyan.infra.databases import Server
from banyan.infra.settings import Settings

_LOOK_SECONDS = 0.1


async def run(settings: Settings, name: str) -> None:
    """Make the server's folder if there is none, run the server, and make its roles and databases. SIGTERM ends its
    sessions and stops it. Ends with the server."""
    server = server_named(name)
    rights = await asyncio.to_thread(embedded.privileges, settings)
    await asyncio.to_thread(embedded.initialise, settings, server, rights)
    process = await asyncio.create_subprocess_exec(
        *embedded.command(settings, server, rights), env=environ(), stdin=asyncio.subprocess.DEVNULL
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


def environ() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}


async def _provide(settings: Settings, server: Server) -> None:
    while True:
        try:
            await embedded.provide(settings, server)
            return
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            await asyncio.sleep(_LOOK_SECONDS)
