"""A real Envoy on a free port, with recording upstreams behind it."""

import asyncio
import contextlib
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

from banyan.gateway.adapters import envoy
from banyan.gateway.adapters.data_plane import DataPlane
from banyan.infra.settings import Settings
from tests.gateway.envoy.upstreams import LIMIT, Talk, Upstream, listening, polite

SERVICES = ("gateway", "iam", "learning", "live", "web")
OLD = "old-site"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it came; `raw` is everything from its status line on."""

    raw: bytes

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    def values(self, name: str) -> list[str]:
        lines = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
        return [value.strip().decode() for known, _, value in lines if known.decode().lower() == name]

    def value(self, name: str) -> str:
        (found,) = self.values(name)
        return found

    @property
    def side(self) -> str:
        return self.value("x-banyan-side")


@dataclass(slots=True)
class Front:
    """An Envoy, the upstreams by name (the old site is `old-site`), and raw connections to it."""

    settings: Settings
    plane: DataPlane
    upstreams: dict[str, Upstream]
    process: asyncio.subprocess.Process | None = None

    @property
    def old(self) -> Upstream:
        return self.upstreams[OLD]

    async def start(self) -> None:
        """Prepare the files and start Envoy on them."""
        await self.plane.prepare()
        self.process = await asyncio.create_subprocess_exec(
            *envoy.envoy_command(self.settings), stderr=asyncio.subprocess.DEVNULL
        )
        for _ in range(500):
            if await self.plane.admin.ready():
                return
            assert self.process.returncode is None, "Envoy has ended"
            await asyncio.sleep(0.01)
        raise AssertionError("Envoy is not ready")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await self.process.wait()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.settings.port, limit=LIMIT)

    async def send(self, raw: bytes, *, seconds: float = 10) -> Answer:
        """Send these bytes on a connection of their own and read to its end or to the end of the body."""
        reader, writer = await self.connect()
        return await exchange(reader, writer, raw, seconds=seconds)

    async def get(self, path: str, *headers: str, method: str = "GET", seconds: float = 10) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: school.test", *headers]
        return await self.send("\r\n".join([*lines, "", ""]).encode(), seconds=seconds)


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes, *, seconds: float = 10
) -> Answer:
    """Send bytes on a connection, read one answer, close."""
    writer.write(raw)
    try:
        return await asyncio.wait_for(read_answer(reader, head_only=raw.startswith(b"HEAD ")), seconds)
    finally:
        writer.close()


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    answer = Answer(head)
    if answer.status == 100:
        return await read_answer(reader, head_only=head_only)
    if head_only or answer.status in (101, 204, 304):
        return answer
    if answer.values("transfer-encoding"):
        body = b""
        while not body.endswith(b"0\r\n\r\n"):
            body += await reader.readuntil(b"\r\n")
        return Answer(head + body)
    if length := answer.values("content-length"):
        return Answer(head + await reader.readexactly(int(length[0])))
    return Answer(head + await reader.read())


@contextlib.asynccontextmanager
async def front(*, iam: Talk = polite, **variables: str) -> AsyncIterator[Front]:
    """Envoy before an old site and the services, as the settings' variables say; `legacy` is where the old site is:
    `tcp` (the default), `demo`, `none`, or a URL. `iam` is how iam talks, also while Envoy starts."""
    legacy = variables.pop("legacy", "tcp")
    with tempfile.TemporaryDirectory(prefix="by-") as folder:
        old = Upstream(OLD, polite)
        upstreams = {name: Upstream(name, iam if name == "iam" else polite) for name in SERVICES} | {OLD: old}
        async with contextlib.AsyncExitStack() as stack:
            environ = {"BANYAN_DATA": folder, "BANYAN_PORT": str(free_port()), **variables}
            if legacy == "tcp":
                port = await stack.enter_async_context(listening(old))
                environ["BANYAN_LEGACY_URL"] = f"http://127.0.0.1:{port}"
            elif legacy == "demo":
                environ["BANYAN_DEMO"] = "1"
            elif legacy == "none":
                environ["BANYAN_NO_LEGACY"] = "1"
            else:
                environ["BANYAN_LEGACY_URL"] = legacy
            settings = Settings.read(environ)
            settings.make_folders()
            for name in SERVICES:
                await stack.enter_async_context(listening(upstreams[name], path=settings.socket(name)))
            if legacy == "demo":
                await stack.enter_async_context(listening(old, path=settings.socket(OLD)))
            door = Front(settings, DataPlane(settings), upstreams)
            try:
                await door.start()
                yield door
            finally:
                await door.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
