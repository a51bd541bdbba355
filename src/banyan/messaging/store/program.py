"""`python -m banyan.messaging.store.program`: works on the archive in a process of its own, which ends afterwards, so
that Arrow is in no service and a fault of it is nobody's outage. It ends with whoever started it."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from banyan.infra import logs, objects
from banyan.infra.objects import ObjectStore
from banyan.infra.settings import Settings
from banyan.messaging.store import archive, archiving
from banyan.messaging.store.protocol import Archive, Find, Order, Page, Read

_NICE = 10
_SCAN_SECONDS = 5.0
T = TypeVar("T")


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.umask(0o077)
    settings = Settings.read(os.environ)
    order = msgspec.json.decode(sys.argv[1], type=Order)
    if isinstance(order, Archive):  # somebody waits for the others
        os.nice(_NICE)
        logs.configure(order.context)
        asyncio.run(archiving.archive_due(settings, order.context, now=datetime.now(UTC)))
        return
    with _Files(settings) as files:
        found = files.find(order) if isinstance(order, Find) else files.read(order)
    sys.stdout.buffer.write(msgspec.json.encode(found))


def _end_with_parent() -> None:
    """Its end of our standard input is closed when it ends, however it does."""
    while os.read(0, 1024):
        pass
    os._exit(1)


class _Files:
    """The object store for Arrow, which does not know how to wait."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> "_Files":
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._store: ObjectStore = objects.store(self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def find(self, order: Find) -> Page:
        for name in order.names:
            event = archive.find(self._opened(name), order.id)
            if event is not None:
                return Page([event], None)
        return Page([], None)

    def read(self, order: Read) -> Page:
        """At most so many rows and bytes, and for at most so long."""
        ends = time.monotonic() + _SCAN_SECONDS
        page, size, last = list[archive.Event](), 0, order.after
        for row in archive.merged([(file.first_position, self._rows(file.name, order.after)) for file in order.files]):
            if len(page) >= order.limit or size >= order.size or time.monotonic() > ends:
                return Page(page, last)
            if row["position"] == last:  # the table was not dropped yet when it was written once more
                continue
            last = row["position"]
            if not order.types or row["type"] in order.types or row["type"].rpartition(".")[0] in order.types:
                page.append(row)
                size += len(row["data"])
        return Page(page, None)

    def _rows(self, name: str, after: int) -> Callable[[], Iterator[archive.Event]]:
        return lambda: archive.rows_after(self._opened(name), after)

    def _opened(self, name: str) -> archive.Ranged:
        found = self._wait(self._store.find(name))
        if found is None:
            raise objects.ObjectMissing(self._store.name, name)
        return archive.Ranged(found.size, lambda start, length: self._wait(self._fetch(name, start, length)))

    async def _fetch(self, name: str, start: int, length: int) -> bytes:
        return b"".join([piece async for piece in self._store.get(name, start=start, length=length)])

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


if __name__ == "__main__":
    try:
        main()
    except Exception as fault:
        sys.exit(f"{type(fault).__name__}: {fault}")
