"""A server that keeps every byte it is sent and answers what the test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

LIMIT = 2**20
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"


@dataclass(slots=True)
class Received:
    """A request as it came off the wire; `body` is raw, chunks and trailers included."""

    head: bytes
    body: bytes = b""

    @property
    def line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    @property
    def path(self) -> bytes:
        return self.line.split(b" ")[1]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]

    def values(self, name: bytes) -> list[bytes]:
        """Of every header of that name, in any case."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def value(self, name: bytes) -> bytes:
        (found,) = self.values(name)
        return found


Talk = Callable[["Upstream", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Upstream:
    """`talk` is the whole conversation on one connection; `answer` is what the polite one says instead of its name."""

    name: str
    talk: Talk
    answer: bytes | None = None
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def last(self) -> Received:
        return self.requests[-1]

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self.talk(self, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def receive(self, reader: asyncio.StreamReader) -> Received:
        """The next whole request."""
        request = Received(await reader.readuntil(b"\r\n\r\n"))
        self.requests.append(request)
        if request.values(b"transfer-encoding"):
            # The tests send trailers of at least one line or none, so a body ends with one of these.
            while not (request.body.endswith(b"\r\n\r\n") and b"0\r\n" in request.body):
                request.body += await reader.readuntil(b"\r\n")
        elif length := request.values(b"content-length"):
            request.body = await reader.readexactly(int(length[0]))
        return request

    def drop(self) -> None:
        """End every conversation."""
        for task in self._tasks:
            task.cancel()

    async def hang_up(self) -> None:
        self.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def polite(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says its name to everything."""
    while True:
        request = await upstream.receive(reader)
        body = b"" if request.line.startswith(b"HEAD ") else upstream.name.encode()
        writer.write(upstream.answer or OK % (len(upstream.name), body))
        await writer.drain()


@contextlib.asynccontextmanager
async def listening(upstream: Upstream, *, path: Path | None = None, port: int = 0) -> AsyncIterator[int]:
    """The upstream on a Unix socket or on a port of loopback, whose number it yields."""
    if path is not None:
        path.unlink(missing_ok=True)
        server: asyncio.Server = await asyncio.start_unix_server(upstream.accept, path, limit=LIMIT, backlog=2048)
    else:
        server = await asyncio.start_server(upstream.accept, "127.0.0.1", port, limit=LIMIT)
    try:
        yield 0 if path is not None else server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await upstream.hang_up()
        await server.wait_closed()


@contextlib.contextmanager
def speaking(upstream: Upstream, talk: Talk) -> Iterator[None]:
    """For a while the upstream talks differently on new connections; those it has are closed."""
    before = upstream.talk
    upstream.talk = talk
    upstream.drop()
    try:
        yield
    finally:
        upstream.talk = before
        upstream.drop()


def breaking_once() -> Talk:
    """Takes one request and breaks the connection; polite from then on."""
    broken = False

    async def talk(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal broken
        if broken:
            await polite(upstream, reader, writer)
            return
        broken = True
        await upstream.receive(reader)

    return talk
