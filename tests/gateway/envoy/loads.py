"""A few keep-alive clients that ask all the time, and what they saw."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.gateway.envoy.fronts import Front, read_answer

CLIENTS = 8


@dataclass(slots=True)
class Load:
    """`failed` holds what was not a 200 of the old or the new side."""

    sides: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    connections: int = 0


@contextlib.asynccontextmanager
async def under_load(door: Front, path: str) -> AsyncIterator[Load]:
    """Eight clients, each on one connection as long as the gateway keeps it open."""
    load = Load()
    stop = asyncio.Event()
    clients = [asyncio.create_task(_client(door, path, load, stop)) for _ in range(CLIENTS)]
    await asyncio.sleep(0.05)
    try:
        yield load
    finally:
        stop.set()
        await asyncio.gather(*clients)


async def _client(door: Front, path: str, load: Load, stop: asyncio.Event) -> None:
    while not stop.is_set():
        reader, writer = await door.connect()
        load.connections += 1
        try:
            while not stop.is_set():
                writer.write(f"GET {path} HTTP/1.1\r\nHost: s\r\n\r\n".encode())
                answer = await asyncio.wait_for(read_answer(reader), 10)
                load.sides[answer.side] += 1
                if answer.status != 200:
                    load.failed.append(f"{answer.status} {answer.body[:80]!r}")
                await asyncio.sleep(0.004)
        except (OSError, EOFError, TimeoutError) as fault:
            load.failed.append(repr(fault))
        finally:
            writer.close()
