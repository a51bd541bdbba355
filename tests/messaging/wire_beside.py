"""The wire to AWS in a thread of its own, for tests that wait for other processes."""

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from tests.messaging.wire import Wire


class WireBeside:
    """A wire in a thread of its own. Plain attributes (`faults`, `script`, `calls`) may be set and read from here."""

    def __init__(self, wire: Wire, loop: asyncio.AbstractEventLoop) -> None:
        self.wire = wire
        self._loop = loop

    @property
    def url(self) -> str:
        return self.wire.url

    def cut(self) -> None:
        self.tell(self.wire.cut())

    def mend(self) -> None:
        self.tell(self.wire.mend())

    def mend_after(self, operation: str, times: int) -> threading.Thread:
        """Mend it when this has been asked for in vain so often, however long that takes."""

        def wait() -> None:
            while self.wire.count(operation) < times:
                time.sleep(0.02)
            self.mend()

        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        return waiting

    def tell(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)


@contextmanager
def wire_beside(server: str, *, seed: int = 0) -> Iterator[WireBeside]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def make() -> Wire:
        return Wire(server, seed=seed)

    try:
        wire = asyncio.run_coroutine_threadsafe(make(), loop).result(30)
        asyncio.run_coroutine_threadsafe(wire.__aenter__(), loop).result(30)
        yield WireBeside(wire, loop)
        asyncio.run_coroutine_threadsafe(wire.__aexit__(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
