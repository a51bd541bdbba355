"""How late the event loop is: whoever holds it keeps everybody in the process waiting."""

import asyncio
from collections import deque

from banyan.infra.telemetry.figures import LEDGER

_EVERY_SECONDS = 0.25
_REMEMBERED = 8  # the worst of two seconds, so that who looks once a second misses nothing


async def watch() -> None:
    """Measure until cancelled."""
    loop = asyncio.get_running_loop()
    late: deque[float] = deque(maxlen=_REMEMBERED)
    while True:
        due = loop.time() + _EVERY_SECONDS
        await asyncio.sleep(_EVERY_SECONDS)
        late.append(max(0.0, loop.time() - due))
        LEDGER.loop_lag_ms = 1000 * max(late)
