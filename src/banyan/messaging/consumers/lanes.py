"""How much of a consumer is done at the same time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_GATHERING_SECONDS = 0.02


class Lanes:
    def __init__(self, number: int) -> None:
        self._free = asyncio.Semaphore(number)
        self._left = asyncio.Event()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        try:
            async with self._free:
                yield
        finally:
            self._left.set()

    async def room(self) -> None:
        """Until one is free, but not for long. What is borrowed before would wait all the same, and each few events in
        a transaction of their own; a little later one does for all."""
        if self._free.locked():
            self._left.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), _GATHERING_SECONDS)
