"""What monitor does by itself: look, weigh what it saw, and tell."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from banyan.monitor.operations.alerts import Alerts
from banyan.monitor.operations.looking import Lookout

log = structlog.get_logger()

_TELL_SECONDS = 0.2


async def look(lookout: Lookout, alerts: Alerts, *, every: float) -> None:
    async def step() -> None:
        await lookout.look()
        alerts.weigh(lookout.values, now=datetime.now(UTC))

    await _for_ever(step, every=every)


async def look_at_envoy(lookout: Lookout, *, every: float) -> None:
    await _for_ever(lookout.look_at_envoy, every=every)


async def tell(alerts: Alerts) -> None:
    async def step() -> None:
        alerts.tell(now=datetime.now(UTC))

    await _for_ever(step, every=_TELL_SECONDS)


async def _for_ever(step: Callable[[], Awaitable[None]], *, every: float) -> None:
    """At a steady pace, whatever a step takes and whatever becomes of it."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        try:
            await step()
        except Exception:
            # Whoever watches the others must not stand still for a fault of its own.
            log.exception("a step failed and is tried again", step=getattr(step, "__qualname__", ""))
        due = max(due + every, loop.time() + min(every, 0.05))
        await asyncio.sleep(due - loop.time())
