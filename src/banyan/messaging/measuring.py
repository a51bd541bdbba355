"""How much waits in the queues, noted for whoever watches."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from banyan.infra import repeating
from banyan.infra.telemetry.figures import LEDGER
from banyan.messaging.broker import Broker
from banyan.messaging.subscriptions import Subscription

_LOOK_SECONDS = 2.0


@asynccontextmanager
async def measuring(broker: Broker, subscriptions: Sequence[Subscription]) -> AsyncIterator[None]:
    """Note beside the block how much waits in the queues. Here and not where they are read, because a queue is
    longest where nobody reads it."""
    async with repeating.beside(_measure(broker, subscriptions)):
        yield


async def _measure(broker: Broker, subscriptions: Sequence[Subscription]) -> None:
    while True:
        for subscription in subscriptions:
            try:
                LEDGER.queues[subscription.consumer] = await broker.depth(subscription.queue)
            except Exception:  # the bus is away, which others notice and say
                LEDGER.queues.pop(subscription.consumer, None)
        await asyncio.sleep(_LOOK_SECONDS)
