"""What a consumer has borrowed of its queue: how many seats are left, and how each loan ends."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

import structlog

from banyan.messaging.broker import Broker, Delivery, Receipt
from banyan.messaging.pace import Pace

log = structlog.get_logger()

_GATHERING_SECONDS = 0.005


class Loans:
    """Acknowledges beside the reading, so that a read that waits delays nothing. `freed` is called when seats have
    become free."""

    def __init__(self, broker: Broker, consumer: str, queue: str, pace: Pace, *, freed: Callable[[], None]) -> None:
        self._broker = broker
        self._consumer = consumer
        self._queue = queue
        self._pace = pace
        self._freed = freed
        self._since: dict[Receipt, float] = {}  # when a loan was last made longer
        self._done: list[Receipt] = []
        self._buried: list[tuple[Receipt, str]] = []
        self._ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._since)

    @property
    def seats(self) -> int:
        return self._pace.seats - len(self._since)

    def take(self, lent: Sequence[Delivery]) -> None:
        now = time.monotonic()
        self._since.update({delivery.receipt: now for delivery in lent})

    def done(self, deliveries: Sequence[Delivery]) -> None:
        """Committed. Deleted too late is harmless: the inbox knows."""
        self._done += [delivery.receipt for delivery in deliveries]
        self._ended.set()

    def buried(self, delivery: Delivery, reason: str) -> None:
        """A dead letter has it."""
        self._buried.append((delivery.receipt, reason))
        self._ended.set()

    async def give_back(self, deliveries: Sequence[Delivery], *, after: float) -> None:
        receipts = [delivery.receipt for delivery in deliveries]
        for receipt in receipts:
            self._since.pop(receipt, None)
        with contextlib.suppress(Exception):  # then they come back when their loan ends
            async with asyncio.timeout(self._pace.stopping):
                await self._broker.release(self._queue, receipts, after=after)
        self._freed()

    async def acknowledge(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            await self._ended.wait()
            if len(self._since) > len(self._done) + len(self._buried):
                # Others will have ended, too: a statement for each few of them, and a read for each few seats that
                # they free, cost more than they bring.
                await asyncio.sleep(_GATHERING_SECONDS)
            self._ended.clear()
            try:
                await self.acknowledge_now()
                failures = 0
            except Exception as fault:
                failures += 1
                if failures == 1 or failures % 30 == 0:
                    log.warning("cannot acknowledge", consumer=self._consumer, failures=failures, reason=repr(fault))
                self._ended.set()
                await asyncio.sleep(min(self._pace.retry_after(failures), 2.0))

    async def acknowledge_now(self) -> None:
        """All that has ended, at once."""
        if self._done:
            done, self._done = self._done, []
            try:
                await self._broker.delete(self._queue, done)
            except BaseException:
                self._done += done
                raise
            self._forget(done)
        if self._buried:
            await self._bury()

    async def keep(self) -> None:
        """Make the loans of what is not done yet longer, until cancelled."""
        while True:
            await asyncio.sleep(self._pace.hold / 5)
            old = [one for one, since in self._since.items() if since < time.monotonic() - self._pace.hold / 4]
            if old:
                try:
                    await self._broker.extend(self._queue, old, hold=self._pace.hold)
                except Exception as fault:
                    log.warning("loans not made longer", consumer=self._consumer, reason=repr(fault))
                    continue
                now = time.monotonic()
                self._since.update({receipt: now for receipt in old if receipt in self._since})

    async def finish(self) -> None:
        """Acknowledge what has ended, and give the rest back."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.acknowledge_now(), self._pace.stopping)
        ended = {*self._done, *(receipt for receipt, _ in self._buried)}
        if left := [receipt for receipt in self._since if receipt not in ended]:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._broker.release(self._queue, left, after=0), self._pace.stopping)

    def forget_all(self) -> None:
        """Nobody is at them any more; they come again when their loans end."""
        self._since.clear()
        self._done.clear()
        self._buried.clear()

    async def _bury(self) -> None:
        buried, self._buried = self._buried, []
        by_reason: dict[str, list[Receipt]] = defaultdict(list)
        for receipt, reason in buried:
            by_reason[reason].append(receipt)
        try:
            for reason, receipts in by_reason.items():
                await self._broker.bury(self._queue, receipts, reason=reason)
        except BaseException:
            self._buried += buried
            raise
        self._forget([receipt for receipt, _ in buried])

    def _forget(self, receipts: Sequence[Receipt]) -> None:
        for receipt in receipts:
            self._since.pop(receipt, None)
        self._freed()
