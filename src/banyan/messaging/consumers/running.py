"""A consumer at work in this process: it borrows, and others do the rest beside it."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

import structlog

from banyan.infra import repeating
from banyan.kit.errors import Unavailable
from banyan.messaging.broker import Broker, Delivery, Feature
from banyan.messaging.consumers.consumer import Consumer
from banyan.messaging.consumers.loans import Loans
from banyan.messaging.consumers.redriving import Redriver
from banyan.messaging.consumers.standing import Standing
from banyan.messaging.consumers.work import Work

log = structlog.get_logger()

GIVEN_UP = "the broker lent it too often"
_SWEEP_SECONDS = 5.0
_WORTH_A_LANE = 4  # events; for fewer a transaction more costs more time than it saves
_LONGEST_WAIT = 2.0


async def at_once() -> None:
    return None


class Consuming:
    """One consumer of this process."""

    def __init__(self, broker: Broker, consumer: Consumer) -> None:
        self.consumer = consumer
        self._broker = broker
        self._pace = consumer.pace
        self._queue = consumer.queue
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.redriver = Redriver(consumer, may_go_on=lambda: self.standing.is_open and not self._stopping.is_set())
        self.standing = Standing(consumer, due=self.redriver.wake)
        self.loans = Loans(broker, consumer.name, self._queue, self._pace, freed=self._note_room)
        self.work = Work(consumer, self.loans, self.standing)

    def stop(self) -> None:
        self._stopping.set()
        self.work.stopping.set()
        self._woken.set()

    async def run_on(self, after: Callable[[], Awaitable[None]]) -> None:
        """Whatever breaks it off: a consumer that ended would leave its queue without a reader, silently."""
        failures = 0
        while not self._stopping.is_set():
            try:
                await self.run(after)
            except Exception:
                failures += 1
                if failures == 1 or failures % 30 == 0:
                    log.exception("a consumer broke off and begins anew", consumer=self.consumer.name)
                self.loans.forget_all()
                await self._or_stopped(asyncio.sleep(min(self._pace.retry_after(failures), _LONGEST_WAIT)))

    async def run(self, after: Callable[[], Awaitable[None]]) -> None:
        await self._wait_for(after)
        async with self._broker.listening(self._queue) as self._woken:
            beside = [self.loans.keep(), self.loans.acknowledge(), self.standing.watch(), self.redriver.run()]
            if Feature.GIVES_UP in self._broker.features:
                beside.append(self._sweep())
            tasks = [asyncio.create_task(one, name=self.consumer.name) for one in beside]
            try:
                await self._read_until_stopped()
                await self._finish(tasks)
            finally:
                await repeating.end([*tasks, *self._tasks])

    async def _wait_for(self, after: Callable[[], Awaitable[None]]) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(Unavailable):
                await after()
                return
            await asyncio.sleep(0.05)

    async def _read_until_stopped(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            if not self.standing.is_open:
                await self._or_stopped(self.standing.until_open())
                continue
            self._woken.clear()
            try:
                lent = await self._borrow()
                failures = 0
            except Exception as fault:
                failures += 1
                if failures == 1 or failures % 30 == 0:
                    name = self.consumer.name
                    log.warning("cannot reach the bus", consumer=name, failures=failures, reason=repr(fault))
                await self._or_stopped(asyncio.sleep(min(self._pace.retry_after(failures), _LONGEST_WAIT)))
                continue
            if lent:
                await self._start(lent)
            elif self.loans.seats <= 0 or Feature.LISTENING in self._broker.features:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), self._pace.poll)

    async def _borrow(self) -> list[Delivery]:
        # Seats first: what is fetched and cannot be handled is kept from other readers for nothing.
        await self.work.lanes.room()
        seats = self.loans.seats
        if seats <= 0:
            return []
        return await self._broker.read(self._queue, seats=seats, hold=self._pace.hold, wait=self._pace.wait)

    async def _start(self, lent: Sequence[Delivery]) -> None:
        if self._stopping.is_set() or not self.standing.is_open:  # while the read waited
            await self.loans.give_back(lent, after=0)
            return
        self.loans.take(lent)
        by_key: dict[str, list[Delivery]] = {}
        for delivery in lent:
            by_key.setdefault(delivery.key, []).append(delivery)
        failing = [key for key in by_key if self.work.failures.is_failing(key)]
        for key in failing:
            self._begin(self.work.failing, by_key.pop(key))
        lanes = min(len(by_key), self._pace.lanes, math.ceil(len(lent) / _WORTH_A_LANE))
        bundles: list[list[Delivery]] = [[] for _ in range(lanes)]
        for place, deliveries in enumerate(by_key.values()):
            bundles[place % len(bundles)] += deliveries
        for bundle in bundles:
            self._begin(self.work.healthy, bundle)

    def _begin(self, work: Callable[[list[Delivery]], Awaitable[None]], bundle: list[Delivery]) -> None:
        task = asyncio.create_task(self._do(work, bundle))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Callable[[list[Delivery]], Awaitable[None]], bundle: list[Delivery]) -> None:
        try:
            await work(bundle)
        except Exception:
            log.exception("a consumer's work broke off", consumer=self.consumer.name)
            await self.loans.give_back(bundle, after=self._pace.longest_retry)

    async def _sweep(self) -> None:
        """What the broker itself gave up goes to where everything else is that was not handled."""
        while True:
            try:
                await self.standing.until_open()
                given_up = await self._broker.given_up(self._queue, seats=self._pace.together, hold=self._pace.hold)
                for delivery in given_up:
                    if await self.work.burial.given_up(delivery):
                        await self._broker.bury(self._queue, [delivery.receipt], reason=GIVEN_UP)
                    else:
                        await self._broker.delete(self._queue, [delivery.receipt])
            except Exception as fault:
                given_up = []
                log.debug("cannot sweep", consumer=self.consumer.name, reason=repr(fault))
            if not given_up:
                await asyncio.sleep(_SWEEP_SECONDS)

    async def _finish(self, beside: Sequence["asyncio.Task[None]"]) -> None:
        """What is being handled is finished, the rest given back."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._pace.stopping)
        await repeating.end([*beside, *self._tasks])
        await self.loans.finish()

    async def _or_stopped(self, waiting: Coroutine[object, object, object]) -> None:
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._stopping.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    def _note_room(self) -> None:
        self._woken.set()


class Hearing:
    """All consumers of a process."""

    def __init__(self, broker: Broker, consumers: Sequence[Consumer]) -> None:
        self.broker = broker
        self.runs = {consumer.name: Consuming(broker, consumer) for consumer in consumers}

    @asynccontextmanager
    async def running(self, *, after: Callable[[], Awaitable[None]] = at_once) -> AsyncIterator[None]:
        """Consume beside the block; at its end, what is in flight is finished and the rest given back.

        Begins when `after` (a process's `preparation.check`) no longer raises Unavailable.
        """
        tasks = [asyncio.create_task(run.run_on(after), name=name) for name, run in self.runs.items()]
        try:
            yield
        finally:
            for run in self.runs.values():
                run.stop()
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def consuming(
    broker: Broker, consumers: Sequence[Consumer], *, after: Callable[[], Awaitable[None]] = at_once
) -> AsyncIterator[None]:
    """`Hearing.running`, for whoever needs no more of it."""
    async with Hearing(broker, consumers).running(after=after):
        yield
