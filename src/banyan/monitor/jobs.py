"""What monitor does by itself: look, weigh what it saw, and tell."""

from datetime import UTC, datetime

from banyan.infra.repeating import for_ever
from banyan.monitor.operations.alerts import Alerts
from banyan.monitor.operations.looking import Lookout

_TELL_SECONDS = 0.2


async def look(lookout: Lookout, alerts: Alerts, *, every: float) -> None:
    async def step() -> None:
        await lookout.look()
        alerts.weigh(lookout.values, now=datetime.now(UTC))

    await for_ever(step, every=every)


async def look_at_envoy(lookout: Lookout, *, every: float) -> None:
    await for_ever(lookout.look_at_envoy, every=every)


async def tell(alerts: Alerts) -> None:
    async def step() -> None:
        alerts.tell(now=datetime.now(UTC))

    await for_ever(step, every=_TELL_SECONDS)
