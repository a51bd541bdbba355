"""What a broker does for us: copy each event to the queues that want it, and lend queued events until they are done."""

from asyncio import Event as Signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from banyan.contracts.monitor import Depth
from banyan.messaging.envelope import Envelope
from banyan.messaging.subscriptions import Subscription

MOST_COUNTED = 100_000
"""A longer queue is said to be so long: counting it all would keep its database busy just when that has to hurry."""


LARGEST_BATCH = 500
"""Events, where the broker sets no limit of its own."""


class Feature(StrEnum):
    """What one broker has and another may not; the shared tests ask for it."""

    ORDER_BY_KEY = "order-by-key"  # nothing of a key is lent while something earlier of that key is out or waits
    DURABLE = "durable"  # what is published survives the broker's process
    RIGHTS = "rights"  # a role reads its own queues only
    LISTENING = "listening"  # whoever listens is told when something comes; where not, reading itself can wait
    ARCHIVE = "archive"  # what is buried can be looked at, with the reason
    GIVES_UP = "gives-up"  # what is lent too often goes to a place of the broker's own
    AGE = "age"  # how long the oldest of a queue has waited is known


Receipt: TypeAlias = int | str
"""Opaque, of one loan; a broker takes only its own."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A queued event lent to a reader. `attempts` counts this one; `body` is the envelope as JSON."""

    receipt: Receipt
    key: str
    attempts: int
    body: bytes


class Broker(Protocol):
    """At-least-once: what is lent and neither deleted nor extended in time is lent again."""

    features: frozenset[Feature]
    largest_batch: int  # of events; more than that may not be published in the time that the relay has for a step

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        """Make the queues and bind them to their topics, and to no others. Idempotent; queued events stay."""
        ...

    async def publish(self, envelopes: Sequence[Envelope], *, queue: str | None = None) -> None:
        """In this order, to every queue that is bound to their types, or to one queue only. When it returns all are
        queued; on any exception a part may be, and the same is published again."""
        ...

    async def read(self, queue: str, *, seats: int, hold: float, wait: float = 0.0) -> list[Delivery]:
        """Borrow up to `seats` events for `hold` seconds, the oldest first. Where there are none, a broker without
        LISTENING waits up to `wait` seconds for the first."""
        ...

    async def extend(self, queue: str, receipts: Sequence[Receipt], *, hold: float) -> None: ...

    async def release(self, queue: str, receipts: Sequence[Receipt], *, after: float) -> None:
        """Give back undone; lent again when `after` seconds have passed."""
        ...

    async def bury(self, queue: str, receipts: Sequence[Receipt], *, reason: str) -> None:
        """Out of the queue for good, because a dead letter has it; with ARCHIVE a copy is kept beside `reason`."""
        ...

    async def given_up(self, queue: str, *, seats: int, hold: float) -> list[Delivery]:
        """Borrow what the broker itself no longer lends. `delete` and `bury` take these receipts, too."""
        ...

    async def delete(self, queue: str, receipts: Sequence[Receipt]) -> None: ...

    async def depth(self, queue: str) -> Depth:
        """How much is not done, and since when (0 without AGE). Whoever may publish may ask, and whoever reads."""
        ...

    def listening(self, queue: str) -> AbstractAsyncContextManager[Signal]:
        """A signal that is set when something may have come. It can be missed, so look now and then all the same."""
        ...
