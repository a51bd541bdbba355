"""Consumers: an event has its effect once, in the order of its key, however often it comes."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from banyan.contracts.events import Event
from banyan.infra.postgres import Connection, Database
from banyan.kit.errors import Unavailable
from banyan.messaging import envelope, subscriptions
from banyan.messaging.broker import Broker, Delivery
from banyan.messaging.envelope import Envelope

log = structlog.get_logger()

EventT = TypeVar("EventT", bound=Event)
Handle = Callable[[Connection, Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Handler:
    kind: type[Any]
    handle: Handle


def on(kind: type[EventT], handle: Callable[[Connection, EventT], Awaitable[None]]) -> Handler:
    """What to do about one kind of event, in the consumer's own transaction. It changes that database and no more:
    when it raises, everything is undone and it is called again."""
    return Handler(kind, handle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much at once and how patiently; seconds."""

    seats: int = 64  # events borrowed from the broker at most
    lanes: int = 4  # of them, handled at the same time; each takes a connection of the consumer's database
    hold: float = 10.0  # after a kill -9 events come back this late
    handling: float = 20.0
    poll: float = 0.5
    first_retry: float = 0.2
    longest_retry: float = 30.0
    stopping: float = 5.0

    def retry_after(self, attempts: int) -> float:
        longest = min(self.longest_retry, self.first_retry * 2.0 ** min(attempts - 1, 16))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """`name` has a line in subscriptions.py; `source` is the context whose events these are."""

    name: str
    source: str
    handlers: Sequence[Handler]
    database: Database
    pace: Pace = field(default_factory=Pace)

    def __post_init__(self) -> None:
        subscribed = {kind.TYPE for kind in subscriptions.subscription_of(self.name).events}
        handled = {handler.kind.TYPE for handler in self.handlers}
        if subscribed != handled or any(envelope.source_of(kind) != self.source for kind in handled):
            raise ValueError(f"{self.name} handles {sorted(handled)} but subscriptions.py says {sorted(subscribed)}.")


async def _at_once() -> None:
    return None


@asynccontextmanager
async def consuming(
    broker: Broker, consumers: Sequence[Consumer], *, after: Callable[[], Awaitable[None]] = _at_once
) -> AsyncIterator[None]:
    """Consume beside the block; at its end, what is in flight is finished and the rest given back.

    Begins when `after` (a process's `preparation.check`) no longer raises Unavailable.
    """
    runs = [_Consuming(broker, consumer) for consumer in consumers]
    tasks = [asyncio.create_task(run.run(after), name=run.name) for run in runs]
    try:
        yield
    finally:
        for run in runs:
            run.stop()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Consuming:
    def __init__(self, broker: Broker, consumer: Consumer) -> None:
        self.name = consumer.name
        self._broker = broker
        self._consumer = consumer
        self._pace = consumer.pace
        self._queue = subscriptions.subscription_of(consumer.name).queue
        self._kinds = {handler.kind.TYPE: handler for handler in consumer.handlers}
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._lanes = asyncio.Semaphore(consumer.pace.lanes)
        self._in_flight: dict[int, float] = {}  # receipt -> when its loan was last made longer
        self._done: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        self._stopping.set()
        self._woken.set()

    async def run(self, after: Callable[[], Awaitable[None]]) -> None:
        await self._wait_for(after)
        async with self._broker.listening(self._queue) as self._woken:
            upkeep = asyncio.create_task(self._keep_loans())
            try:
                await self._read_until_stopped()
                await self._finish()
            finally:
                upkeep.cancel()
                for task in self._tasks:
                    task.cancel()

    async def _wait_for(self, after: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(Unavailable):
                await after()
                return
            await asyncio.sleep(0.05)

    async def _read_until_stopped(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                await self._acknowledge()
                # Seats first: what is fetched and cannot be handled is kept from other readers for nothing.
                seats = self._pace.seats - len(self._in_flight)
                lent = await self._broker.read(self._queue, seats=seats, hold=self._pace.hold) if seats > 0 else []
                failures = 0
            except Exception as fault:
                failures += 1
                if failures == 1 or failures % 30 == 0:
                    log.warning("cannot reach the bus", consumer=self.name, failures=failures, reason=repr(fault))
                await self._sleep(self._pace.retry_after(failures))
                continue
            self._start(lent)
            if not lent and not self._done:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._pace.poll)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), min(seconds, 2.0))

    def _start(self, lent: Sequence[Delivery]) -> None:
        by_key: dict[str, list[Delivery]] = {}
        now = time.monotonic()
        for delivery in lent:
            self._in_flight[delivery.receipt] = now
            by_key.setdefault(delivery.key, []).append(delivery)
        for deliveries in by_key.values():
            task = asyncio.create_task(self._handle_in_order(deliveries))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle_in_order(self, deliveries: list[Delivery]) -> None:
        async with self._lanes:
            for place, delivery in enumerate(deliveries):
                if self._stopping.is_set():
                    await self._give_back(deliveries[place:], after=0)
                    return
                retry_after = await self._handle(delivery)
                if retry_after is not None:
                    # What follows is of the same key: it comes after this one, so it is lent again after it, too.
                    await self._give_back(deliveries[place:], after=retry_after)
                    return
                self._done.append(delivery.receipt)
                self._woken.set()

    async def _handle(self, delivery: Delivery) -> float | None:
        """Handle one event; answers after how many seconds it shall come again, or None if it is done."""
        try:
            told = envelope.decode(delivery.body)
        except msgspec.DecodeError as fault:
            log.error("parked what is no event", consumer=self.name, receipt=delivery.receipt, reason=str(fault))
            return self._pace.longest_retry
        names = {"event_id": told.id, "event_type": told.type, "request_id": told.requestid or ""}
        with structlog.contextvars.bound_contextvars(**names):
            handler = self._kinds.get(told.type)
            if handler is None:
                log.error("parked an event of an unknown type", consumer=self.name)
                return self._pace.longest_retry
            try:
                async with asyncio.timeout(self._pace.handling):
                    await self._apply(handler, told)
            except Exception:
                log.warning("event not handled", consumer=self.name, attempt=delivery.attempts, exc_info=True)
                return self._pace.retry_after(delivery.attempts)
        return None

    async def _apply(self, handler: Handler, told: Envelope) -> None:
        event = envelope.event_in(told, handler.kind)
        async with self._consumer.database.transaction() as tx:
            # First of all: a second delivery waits here for the outcome of the one that is under way.
            if await tx.fetchval(_REMEMBER, self.name, UUID(told.id)):
                await handler.handle(tx, event)

    async def _acknowledge(self) -> None:
        """Forget what is committed, all of it at once. Deleted too late is harmless: the inbox knows."""
        if self._done:
            done, self._done = self._done, []
            try:
                await self._broker.delete(self._queue, done)
            except BaseException:
                self._done += done
                raise
            for receipt in done:
                self._in_flight.pop(receipt, None)

    async def _give_back(self, deliveries: Sequence[Delivery], *, after: float) -> None:
        receipts = [delivery.receipt for delivery in deliveries]
        for receipt in receipts:
            self._in_flight.pop(receipt, None)
        with contextlib.suppress(Exception):  # then they come back when their loan ends
            await self._broker.release(self._queue, receipts, after=after)

    async def _keep_loans(self) -> None:
        """Make the loans of what still waits for a lane longer."""
        while True:
            await asyncio.sleep(self._pace.hold / 5)
            old = [r for r, since in self._in_flight.items() if since < time.monotonic() - self._pace.hold / 4]
            if old:
                try:
                    await self._broker.extend(self._queue, old, hold=self._pace.hold)
                except Exception as fault:
                    log.warning("loans not made longer", consumer=self.name, reason=repr(fault))
                    continue
                now = time.monotonic()
                self._in_flight.update({receipt: now for receipt in old if receipt in self._in_flight})

    async def _finish(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._pace.stopping)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._acknowledge(), self._pace.stopping)


_REMEMBER = "INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING true"
