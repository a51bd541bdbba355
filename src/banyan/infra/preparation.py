"""What a process must do before it can serve, such as migrations, done while its socket is already open."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from banyan.infra import edge
from banyan.kit.errors import Unavailable

log = structlog.get_logger()


class NotPrepared(Unavailable):
    """This service is waiting for what it needs to begin; try again in a moment."""


class Preparation:
    """Repeats `step` while its database, or what else it needs, is away. Any other fault ends the process, so that it
    is seen."""

    def __init__(
        self, step: Callable[[], Awaitable[None]], *, pause_seconds: float = 0.25, patience_seconds: float = 2.0
    ) -> None:
        self._step = step
        self._pause_seconds = pause_seconds
        self._patience_seconds = patience_seconds
        self._done = asyncio.Event()

    async def check(self) -> None:
        """Raises NotPrepared until the step has been done."""
        if not self._done.is_set():
            raise NotPrepared

    def guard(self, app: ASGIApp) -> ASGIApp:
        """The application; a request that comes earlier waits a little, as after a restart, and then gets a 503."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if not self._done.is_set() and scope["type"] == "http" and scope["path"] not in edge.OF_ITSELF:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._done.wait(), self._patience_seconds)
            if self._done.is_set() or scope["type"] != "http" or scope["path"] in edge.OF_ITSELF:
                await app(scope, receive, send)
                return
            refusal = NotPrepared()
            await edge.problem(refusal.status, refusal.slug, refusal.detail)(scope, receive, send)

        return guarded

    async def beside(self, serving: Coroutine[object, object, None]) -> None:
        """Do the step while `serving` runs; return when that ends."""
        try:
            async with asyncio.TaskGroup() as tasks:
                preparing = tasks.create_task(self._repeat())
                await serving
                preparing.cancel()
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None

    async def _repeat(self) -> None:
        waiting = False
        while not self._done.is_set():
            try:
                await self._step()
                self._done.set()
            except Unavailable as fault:
                if not waiting:
                    log.warning("waiting for what it needs", reason=repr(fault.__cause__ or fault))
                waiting = True
                await asyncio.sleep(self._pause_seconds)
