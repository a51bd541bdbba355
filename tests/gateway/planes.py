"""The control plane as it runs: its process before a real Envoy, and the command line."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from typer.testing import CliRunner

from banyan import cli
from banyan.infra import http
from tests.gateway.envoy.fronts import Front
from tests.gateway.envoy.people import Iam, people
from tests.gateway.monitors import Monitor


@dataclass(slots=True)
class Plane:
    """The process `gateway` before its own Envoy; the listening socket is held here, as a supervisor would."""

    door: Front
    database_url: str
    iam: Iam
    process: asyncio.subprocess.Process | None = None
    monitor: Monitor | None = None
    listener: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.listener = http.listening_socket(self.door.settings.socket("gateway"))

    async def start(self) -> None:
        descriptor = self.listener.fileno()
        with (self.door.settings.logs / "gateway.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "banyan.processes.run", "gateway"),
                env={**self.environ(), "BANYAN_LISTEN_FD": str(descriptor)},
                pass_fds=[descriptor],
                stdout=log,
            )

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def banyan(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        command = [*arguments, "--data", str(self.door.settings.data)]
        # In a thread: a command brings its own event loop.
        result = await asyncio.to_thread(CliRunner().invoke, cli.app, command, env=self.environ())
        return result.exit_code, result.stdout, result.stderr

    async def side(self, path: str) -> str:
        return (await self.door.get(path)).side

    def environ(self) -> dict[str, str]:
        return {**os.environ, **self.door.settings.environ(), "BANYAN_GATEWAY_DATABASE_URL": self.database_url}


@contextlib.asynccontextmanager
async def control_plane(database_url: str) -> AsyncIterator[Plane]:
    async with people(kept=False) as crowd:
        running = Plane(crowd.door, database_url, crowd.iam)
        await running.start()
        try:
            yield running
        finally:
            if running.process and running.process.returncode is None:
                running.process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(running.process.wait(), 20) == 0
            running.listener.close()
