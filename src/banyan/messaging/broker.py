"""What a broker does for us: copy each event to the queues that want it, and lend queued events until they are done."""

from asyncio import Event as Signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from banyan.contracts.monitor import Depth
from banyan.messaging.envelope import Envelope
from banyan.messaging.subscriptions import Subscription

MOST_COUNTED = 100_000
"""A longer queue is said to be so long: counting it all would keep its database busy just when that has to hurry."""


class Feature(StrEnum):
    """What one broker has and another may not; the shared tests ask for it."""

    ORDER_BY_KEY = "order-by-key"  # nothing of a key is lent while something earlier of that key is out or waits
    DURABLE = "durable"  # what is published survives the broker's process
    RIGHTS = "rights"  # a role reads its own queues only


@dataclass(frozen=True, slots=True)
class Delivery:
    """A queued event lent to a reader. `attempts` counts this one; `body` is the envelope as JSON."""

    receipt: int
    key: str
    attempts: int
    body: bytes


class Broker(Protocol):
    """At-least-once: what is lent and neither deleted nor extended in time is lent again."""

    features: frozenset[Feature]

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        """Make the queues and bind them to their topics, and to no others. Idempotent; queued events stay."""
        ...

    async def publish(self, envelopes: Sequence[Envelope]) -> None:
        """All or none, in this order; on any exception it may be either."""
        ...

    async def read(self, queue: str, *, seats: int, hold: float) -> list[Delivery]:
        """Borrow up to `seats` events for `hold` seconds, the oldest first."""
        ...

    async def extend(self, queue: str, receipts: Sequence[int], *, hold: float) -> None: ...

    async def release(self, queue: str, receipts: Sequence[int], *, after: float) -> None:
        """Give back undone; lent again when `after` seconds have passed."""
        ...

    async def delete(self, queue: str, receipts: Sequence[int]) -> None: ...

    async def depth(self, queue: str) -> Depth:
        """How much of it is not done, and since when. Whoever may publish may ask, and whoever may read."""
        ...

    def listening(self, queue: str) -> AbstractAsyncContextManager[Signal]:
        """A signal that is set when something may have come. It can be missed, so look now and then all the same."""
        ...
