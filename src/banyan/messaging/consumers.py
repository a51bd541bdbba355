"""Consumers: an event has its effect once, in the order of its key, however often it comes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import structlog

from banyan.contracts.events import Event
from banyan.infra.postgres import Connection, Database
from banyan.infra.telemetry import tracing
from banyan.infra.telemetry.figures import LEDGER
from banyan.kit.errors import Unavailable
from banyan.messaging import envelope, privacy, subscriptions
from banyan.messaging.broker import Broker, Delivery, Receipt
from banyan.messaging.envelope import Envelope
from banyan.messaging.pace import Pace
from banyan.messaging.privacy import PersonKeys

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
class Consumer:
    """`name` has a line in subscriptions.py; `source` is the context whose events these are; `people` is where the keys
    of their personal data are, if they have any."""

    name: str
    source: str
    handlers: Sequence[Handler]
    database: Database
    pace: Pace = field(default_factory=Pace)
    people: PersonKeys | None = None

    def __post_init__(self) -> None:
        subscribed = {kind.TYPE for kind in subscriptions.subscription_of(self.name).events}
        handled = {handler.kind.TYPE for handler in self.handlers}
        if subscribed != handled or any(envelope.source_of(kind) != self.source for kind in handled):
            raise ValueError(f"{self.name} handles {sorted(handled)} but subscriptions.py says {sorted(subscribed)}.")


async def at_once() -> None:
    return None


@asynccontextmanager
async def consuming(
    broker: Broker, consumers: Sequence[Consumer], *, after: Callable[[], Awaitable[None]] = at_once
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
        self._meter = LEDGER.consumer(consumer.name)
        self._kinds = {handler.kind.TYPE: handler for handler in consumer.handlers}
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._lanes = asyncio.Semaphore(consumer.pace.lanes)
        self._in_flight: dict[Receipt, float] = {}  # receipt -> when its loan was last made longer
        self._done: list[Receipt] = []
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
        bundles: list[list[Delivery]] = [[] for _ in range(min(len(by_key), self._pace.lanes))]
        for place, deliveries in enumerate(by_key.values()):
            bundles[place % len(bundles)] += deliveries
        for bundle in bundles:
            task = asyncio.create_task(self._handle_bundle(bundle))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _handle_bundle(self, bundle: list[Delivery]) -> None:
        """Events of some keys, each key's in order: several in one transaction, and if that fails one by one."""
        async with self._lanes:
            while bundle and not self._stopping.is_set():
                part = bundle[: self._pace.together]
                del bundle[: len(part)]
                if len(part) > 1 and await self._handle_together(part):
                    self._settle(part)
                else:
                    await self._handle_each(part, bundle)
            if bundle:
                await self._give_back(bundle, after=0)

    async def _handle_together(self, part: Sequence[Delivery]) -> bool:
        """One commit for many, where nothing is wrong with any of them."""
        try:
            told = [envelope.decode(delivery.body) for delivery in part]
            if any(one.type not in self._kinds for one in told):
                return False
            started = time.perf_counter()
            async with asyncio.timeout(self._pace.handling):
                await self._apply(told)
        except Exception:
            return False
        each = (time.perf_counter() - started) / len(told)
        for _ in told:
            self._meter.note(each)
        return True

    async def _handle_each(self, part: list[Delivery], bundle: list[Delivery]) -> None:
        while part:
            delivery = part.pop(0)
            retry_after = await self._handle(delivery)
            if retry_after is None:
                self._settle([delivery])
                continue
            # What follows of the same key is lent again after it, too.
            held = [one for one in (*part, *bundle) if one.key == delivery.key]
            for rest in (part, bundle):
                rest[:] = [one for one in rest if one.key != delivery.key]
            await self._give_back([delivery, *held], after=retry_after)

    def _settle(self, deliveries: Sequence[Delivery]) -> None:
        self._done += [delivery.receipt for delivery in deliveries]
        self._woken.set()

    async def _handle(self, delivery: Delivery) -> float | None:
        """Handle one event; answers after how many seconds it shall come again, or None if it is done."""
        try:
            told = envelope.decode(delivery.body)
        except msgspec.DecodeError as fault:
            self._meter.note(0.0, failed=True)
            log.error("parked what is no event", consumer=self.name, receipt=delivery.receipt, reason=str(fault))
            return self._pace.longest_retry
        with _named_in_logs(told):
            if told.type not in self._kinds:
                self._meter.note(0.0, failed=True)
                log.error("parked an event of an unknown type", consumer=self.name)
                return self._pace.longest_retry
            started, failed = time.perf_counter(), True
            try:
                async with asyncio.timeout(self._pace.handling):
                    await self._apply([told])
                failed = False
            except Exception:
                log.warning("event not handled", consumer=self.name, attempt=delivery.attempts, exc_info=True)
                return self._pace.retry_after(delivery.attempts)
            finally:
                self._meter.note(time.perf_counter() - started, failed=failed)
        return None

    async def _apply(self, told: Sequence[Envelope]) -> None:
        told = await privacy.opened(told, self._consumer.people)
        spans = tracing.of_events("handle", "consumer", [(one.type, one.traceparent) for one in told])
        with tracing.all_within(spans):
            async with self._consumer.database.transaction() as tx:
                # First of all: a second delivery waits here for the outcome of the one that is under way.
                rows = await tx.fetch(_REMEMBER, self.name, [UUID(one.id) for one in told])
                new = {str(row["event_id"]) for row in rows}
                for one, span in zip(told, spans, strict=True):
                    if one.id in new:
                        new.discard(one.id)
                        with _named_in_logs(one), tracing.within(span):
                            handler = self._kinds[one.type]
                            await handler.handle(tx, envelope.event_in(one, handler.kind))

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


def _named_in_logs(told: Envelope) -> AbstractContextManager[object]:
    """Log lines, and the events that a handler adds, name the request that all this came from."""
    return structlog.contextvars.bound_contextvars(
        event_id=told.id, event_type=told.type, request_id=told.requestid or ""
    )


# Sorted, so that two deliveries of the same events wait for each other instead of both.
_REMEMBER = """
INSERT INTO inbox (consumer, event_id) SELECT $1, id FROM unnest($2::uuid[]) AS id ORDER BY id
ON CONFLICT DO NOTHING RETURNING event_id
"""
