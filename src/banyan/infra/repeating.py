"""Work that a process does again and again."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()

_LEAST_PAUSE = 0.05


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
