"""Work that a process does again and again, and its end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager

import structlog

from banyan.kit.errors import Unavailable

log = structlog.get_logger()

_LEAST_PAUSE = 0.05
_ASK_AGAIN_SECONDS = 0.1
_CANCEL_AGAIN_SECONDS = 1.0


async def for_ever(step: Callable[[], Awaitable[None]], *, every: float) -> None:
    """At a steady pace of `every` seconds, whatever a step takes and whatever becomes of it."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        try:
            await step()
        except Exception:
            # A loop that ended would leave its process without a keeper, silently.
            log.exception("a step failed and is tried again", step=getattr(step, "__qualname__", ""))
        due = max(due + every, loop.time() + min(every, _LEAST_PAUSE))
        await asyncio.sleep(due - loop.time())


async def until_possible(check: Callable[[], Awaitable[None]]) -> None:
    """Returns when `check` no longer raises Unavailable."""
    while True:
        with contextlib.suppress(Unavailable):
            await check()
            return
        await asyncio.sleep(_ASK_AGAIN_SECONDS)


@asynccontextmanager
async def beside(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Work that goes on during the block."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        await end(tasks)


async def end(tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Cancel them until they have ended. Once is not always enough: wait_for of Python 3.11 can swallow a cancellation
    that meets the end of what it waits for."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)
