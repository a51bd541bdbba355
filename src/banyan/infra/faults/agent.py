"""Faults inside a process: a thread that hears of them on a socket of its own, so that a hung loop can be woken.

Loaded in the demo only. Each fault ends by itself, whatever became of the supervisor.
"""

import asyncio
import contextlib
import os
import random
import resource
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from banyan.infra.faults import kinds
from banyan.infra.faults.kinds import Ailment, Fault
from banyan.infra.settings import Settings

log = structlog.get_logger()

Message = MutableMapping[str, Any]
Asgi = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

SPARED = frozenset({"/ready", "/figures", "/metrics"})
"""Asked by Banyan itself: `slow` and `errors` befall visitors only, as a bad handler would."""

_LINE = 65536
_CHUNK = 16 * 1024 * 1024
_CHUNK_SECONDS = 0.05
_BETWEEN_STOPS = 0.1
_MOST_MEMORY = 2**30
_dice = random.Random()  # noqa: S311 # which requests fail is no secret


class MadeUpError(Exception):
    """An error on purpose: `banyan fault` made it."""


class Active:
    """A fault while it lasts."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._until = time.monotonic() + fault.seconds
        self._over = threading.Event()

    @property
    def left(self) -> float:
        return 0.0 if self._over.is_set() else max(0.0, self._until - time.monotonic())

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it is over, after so long or (without) at its end."""
        longest = self.left
        self._over.wait(longest if seconds is None else min(seconds, longest))
        return self.left == 0

    def end(self) -> None:
        self._over.set()


_active: dict[Ailment, Active] = {}


def socket_path(settings: Settings, process: str) -> Path:
    return settings.socket(f"{process}-faults")


@contextmanager
def listening(settings: Settings, process: str) -> Iterator[None]:
    """Obey the supervisor's wishes while the block, in the process's own event loop, runs. Raises FaultsForbidden
    outside the demo."""
    kinds.check_demo(settings)
    path = socket_path(settings, process)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(8)
        loop = asyncio.get_running_loop()
        threading.Thread(target=_listen, args=(listener, loop), name="faults", daemon=True).start()
        try:
            yield
        finally:
            for active in _active.values():
                active.end()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


class Faulty:
    """Slow and failing requests, as ASGI middleware."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if _active and scope["type"] == "http" and scope["path"] not in SPARED:
            if (slow := _active.get(Ailment.slow)) is not None and slow.left:
                await asyncio.sleep(slow.fault.delay)
            _fail_perhaps()
        await self._app(scope, receive, send)


def faulty_wsgi(app: Wsgi) -> Wsgi:
    """The same for a WSGI application with threads, where a blocked event loop would not be felt."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if (hang := _active.get(Ailment.hang)) is not None:
            hang.wait()
        if _active and environ["PATH_INFO"] not in SPARED:
            if (slow := _active.get(Ailment.slow)) is not None and slow.left:
                time.sleep(slow.fault.delay)
            _fail_perhaps()
        return app(environ, start_response)

    return answer


def _fail_perhaps() -> None:
    errors = _active.get(Ailment.errors)
    if errors is not None and errors.left and _dice.uniform(0, 100) < errors.fault.percent:
        raise MadeUpError


def _listen(listener: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
            connection.settimeout(5)
            with connection.makefile("rb") as lines:
                wish = msgspec.json.decode(lines.readline(_LINE))
            _obey(wish, loop)
            connection.sendall(b"{}\n")


def _obey(wish: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
    if "end" in wish:
        ended = _active.pop(Ailment(wish["end"]), None)
        if ended is not None:
            ended.end()
        return
    fault = msgspec.convert(wish["add"], Fault)
    log.warning("a fault on purpose", fault=fault.kind, seconds=fault.seconds)
    if (before := _active.get(fault.kind)) is not None:
        before.end()
    active = _active[fault.kind] = Active(fault)
    match fault.kind:
        case Ailment.crash:
            os.kill(os.getpid(), 9)
        case Ailment.hang:
            loop.call_soon_threadsafe(active.wait)
        case Ailment.slow if fault.process in kinds.UNASKED:
            threading.Thread(target=_stutter, args=(active, loop), daemon=True).start()
        case Ailment.cpu:
            for _ in range(fault.workers):
                threading.Thread(target=_burn, args=(active,), daemon=True).start()
        case Ailment.memory:
            threading.Thread(target=_grow, args=(active,), daemon=True).start()
        case Ailment.disk_full:
            before_it = resource.getrlimit(resource.RLIMIT_FSIZE)
            # Python ignores SIGXFSZ, so that a write over the limit fails as one on a full disk does.
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, before_it[1]))
            threading.Thread(target=_free_disk, args=(active, before_it), daemon=True).start()


def _stutter(active: Active, loop: asyncio.AbstractEventLoop) -> None:
    """Block the loop for the fault's delay, again and again, where no request could be held back."""
    while active.left:
        loop.call_soon_threadsafe(active.wait, active.fault.delay)
        active.wait(active.fault.delay + _BETWEEN_STOPS)


def _burn(active: Active) -> None:
    while active.left:
        sum(range(10_000))


def _grow(active: Active) -> None:
    hoard: list[bytes] = []
    with contextlib.suppress(MemoryError):
        while len(hoard) * _CHUNK < _MOST_MEMORY and not active.wait(_CHUNK_SECONDS):
            hoard.append(b"\x01" * _CHUNK)  # every page of it is touched
    active.wait()
    hoard.clear()


def _free_disk(active: Active, limits: tuple[int, int]) -> None:
    active.wait()
    if _active.get(Ailment.disk_full) in (None, active):
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
