"""From one broker to another while events wait in the first: a consumer empties that before it reads the second.

Nothing is published to the first any more, because there is one relay and it knows the second only. So whatever waits
in the first is older, and an order that was promised is kept.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import structlog

from banyan.contracts.monitor import Depth
from banyan.infra.postgres import DatabaseAway
from banyan.messaging.broker import Delivery, Receipt
from banyan.messaging.envelope import Envelope
from banyan.messaging.pgmq import PgmqBroker
from banyan.messaging.sqs.broker import SqsBroker
from banyan.messaging.subscriptions import Subscription

log = structlog.get_logger()

_LOOK_SECONDS = 10.0  # a relay that was upgraded late may have published there in the meantime
_PAUSE_SECONDS = 0.2
_NEVER_WAS = (
    asyncpg.UndefinedTableError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)


class Moving:
    """As `new`, and read from `old` first. Each broker's receipts are of a kind of their own."""

    def __init__(self, new: SqsBroker, old: PgmqBroker) -> None:
        self.features = new.features
        self.largest_batch = new.largest_batch
        self._new = new
        self._old = old
        self._looked: dict[str, float] = {}  # when the old queue was last seen to be empty
        self._moved: set[str] = set()  # queues whose events come the new way, and the old one was empty after that

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        await self._new.declare(subscriptions)

    async def publish(self, envelopes: Sequence[Envelope], *, queue: str | None = None) -> None:
        await self._new.publish(envelopes, queue=queue)

    async def read(self, queue: str, *, seats: int, hold: float, wait: float = 0.0) -> list[Delivery]:
        if await self._old_waits(queue) == 0:
            return await self._first_of_the_new(queue, seats=seats, hold=hold, wait=wait)
        lent = await self._old.read(queue, seats=seats, hold=hold)
        if not lent:  # what is there is out, or rests
            await asyncio.sleep(min(wait, _PAUSE_SECONDS))
        return lent

    async def _first_of_the_new(self, queue: str, *, seats: int, hold: float, wait: float) -> list[Delivery]:
        """The old relay may have spoken after the old queue was looked at, but not after the new one has."""
        lent = await self._new.read(queue, seats=seats, hold=hold, wait=wait)
        if not lent or queue in self._moved:
            return lent
        self._looked.pop(queue, None)
        try:
            waiting = await self._old_waits(queue)
        except DatabaseAway:
            await self.release(queue, [one.receipt for one in lent], after=0)
            raise
        if waiting:
            await self.release(queue, [one.receipt for one in lent], after=0)
            return []
        self._moved.add(queue)
        return lent

    async def extend(self, queue: str, receipts: Sequence[Receipt], *, hold: float) -> None:
        for broker, some in self._each(receipts):
            await broker.extend(queue, some, hold=hold)

    async def release(self, queue: str, receipts: Sequence[Receipt], *, after: float) -> None:
        for broker, some in self._each(receipts):
            await broker.release(queue, some, after=after)

    async def bury(self, queue: str, receipts: Sequence[Receipt], *, reason: str) -> None:
        for broker, some in self._each(receipts):
            await broker.bury(queue, some, reason=reason)

    async def delete(self, queue: str, receipts: Sequence[Receipt]) -> None:
        for broker, some in self._each(receipts):
            await broker.delete(queue, some)

    async def given_up(self, queue: str, *, seats: int, hold: float) -> list[Delivery]:
        return await self._new.given_up(queue, seats=seats, hold=hold)

    async def depth(self, queue: str) -> Depth:
        depth = await self._new.depth(queue)
        return Depth(depth.waiting + await self._old_waits(queue), depth.oldest_seconds)

    @asynccontextmanager
    async def listening(self, queue: str) -> AsyncIterator[asyncio.Event]:
        async with self._new.listening(queue) as signal:
            yield signal

    async def close(self) -> None:
        await self._new.close()
        await self._old.close()

    def _each(self, receipts: Sequence[Receipt]) -> list[tuple[SqsBroker | PgmqBroker, list[Receipt]]]:
        old = [receipt for receipt in receipts if isinstance(receipt, int)]
        new = [receipt for receipt in receipts if not isinstance(receipt, int)]
        parts: list[tuple[SqsBroker | PgmqBroker, list[Receipt]]] = [(self._old, [*old]), (self._new, [*new])]
        return [part for part in parts if part[1]]

    async def _old_waits(self, queue: str) -> int:
        now = time.monotonic()
        looked = self._looked.get(queue)
        if looked is not None and now < looked + _LOOK_SECONDS:
            return 0
        try:
            waiting = (await self._old.depth(queue)).waiting
        except _NEVER_WAS:
            waiting = 0
        except DatabaseAway as fault:
            if looked is None and not isinstance(fault.__cause__, _NEVER_WAS):
                raise  # something may wait there, and it would be overtaken
            waiting = 0
        if waiting == 0:
            self._looked[queue] = now
        elif looked is not None:
            log.warning("something was published to the broker that is no longer used", queue=queue, waiting=waiting)
        return waiting
