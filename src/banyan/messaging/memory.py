"""A broker in this process's memory, for tests: the same promises, gone when the process is."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase

from banyan.contracts.monitor import Depth
from banyan.messaging import envelope
from banyan.messaging.broker import LARGEST_BATCH, Delivery, Feature, Receipt
from banyan.messaging.envelope import Envelope
from banyan.messaging.subscriptions import Subscription


@dataclass(slots=True)
class _Queued:
    key: str
    body: bytes
    queued_at: float
    visible_at: float
    attempts: int = 0


class MemoryBroker:
    features = frozenset({Feature.ORDER_BY_KEY, Feature.LISTENING, Feature.ARCHIVE, Feature.AGE})
    largest_batch = LARGEST_BATCH

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._topics: dict[str, tuple[str, ...]] = {}
        self._queues: dict[str, dict[Receipt, _Queued]] = {}
        self._last = 0
        self.buried: list[tuple[str, bytes, str]] = []
        self._signals: dict[str, set[asyncio.Event]] = defaultdict(set)

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        self._topics = {subscription.queue: subscription.topics for subscription in subscriptions}
        for subscription in subscriptions:
            self._queues.setdefault(subscription.queue, {})

    async def publish(self, envelopes: Sequence[Envelope], *, queue: str | None = None) -> None:
        for told in envelopes:
            for bound, topics in self._topics.items():
                if queue in (None, bound) and any(fnmatchcase(told.type, topic) for topic in topics):
                    self._last += 1
                    now = self._clock()
                    self._queues[bound][self._last] = _Queued(told.subject, envelope.encode(told), now, now)
                    for signal in self._signals[bound]:
                        signal.set()

    async def read(self, queue: str, *, seats: int, hold: float, wait: float = 0.0) -> list[Delivery]:
        now = self._clock()
        lent: list[Delivery] = []
        taken: set[str] = set()
        for receipt, queued in self._queues[queue].items():
            if queued.visible_at > now:
                taken.add(queued.key)
            elif queued.key not in taken and len(lent) < seats:
                queued.visible_at = now + hold
                queued.attempts += 1
                lent.append(Delivery(receipt, queued.key, queued.attempts, queued.body))
        return lent

    async def extend(self, queue: str, receipts: Sequence[Receipt], *, hold: float) -> None:
        for receipt in receipts:
            if receipt in self._queues[queue]:
                self._queues[queue][receipt].visible_at = self._clock() + hold

    async def release(self, queue: str, receipts: Sequence[Receipt], *, after: float) -> None:
        await self.extend(queue, receipts, hold=after)

    async def delete(self, queue: str, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            self._queues[queue].pop(receipt, None)

    async def bury(self, queue: str, receipts: Sequence[Receipt], *, reason: str) -> None:
        for receipt in receipts:
            if (buried := self._queues[queue].pop(receipt, None)) is not None:
                self.buried.append((queue, buried.body, reason))

    async def given_up(self, queue: str, *, seats: int, hold: float) -> list[Delivery]:
        return []

    async def depth(self, queue: str) -> Depth:
        waiting = self._queues[queue].values()
        now = self._clock()
        return Depth(len(waiting), now - min((queued.queued_at for queued in waiting), default=now))

    @asynccontextmanager
    async def listening(self, queue: str) -> AsyncIterator[asyncio.Event]:
        signal = asyncio.Event()
        self._signals[queue].add(signal)
        try:
            yield signal
        finally:
            self._signals[queue].discard(signal)
