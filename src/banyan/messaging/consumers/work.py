"""What is done about what was borrowed: together where all is well, alone where something is wrong, and out of the way
of others."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from banyan.contracts.messaging import DeadState
from banyan.infra.telemetry.figures import LEDGER
from banyan.kit.errors import Unavailable
from banyan.messaging.broker import Delivery
from banyan.messaging.consumers import applying, reading, reasons
from banyan.messaging.consumers.applying import Trial
from banyan.messaging.consumers.burying import Burial
from banyan.messaging.consumers.consumer import Consumer
from banyan.messaging.consumers.failures import Failures
from banyan.messaging.consumers.lanes import Lanes
from banyan.messaging.consumers.loans import Loans
from banyan.messaging.consumers.rate import Rate
from banyan.messaging.consumers.reading import Told, Unreadable
from banyan.messaging.consumers.standing import Standing
from banyan.messaging.letters.writing import Letter

log = structlog.get_logger()

_AT_ONCE = 0.05
_LONGEST_WAIT = 2.0
_PATIENCE_WITH_THE_FAILING = 1.0
_LONGEST_TOGETHER = 0.5  # seconds that a transaction shall take


@dataclass(frozen=True, slots=True)
class Again:
    """Not now, but after so many seconds."""

    after: float


class SlowTogether(Exception):
    """Several keys in one transaction took too long, and it failed."""


class Outside(Exception):
    """Nothing is wrong with the event, and nothing can be done before the world is well again."""


@dataclass(slots=True)
class Suspects:
    """Events that came so often without an end that they may be what ends us. They are tried alone, so that one that
    does end us is known; and one of them a life is enough to bury, because the others were only near it."""

    alone: asyncio.Lock = field(default_factory=asyncio.Lock)
    buried: bool = False


class Work:
    def __init__(self, consumer: Consumer, loans: Loans, standing: Standing) -> None:
        self.failures = Failures()
        self.rate = Rate()
        self.lanes = Lanes(consumer.pace.lanes)
        self.stopping = asyncio.Event()
        self._consumer = consumer
        self._pace = consumer.pace
        self._loans = loans
        self._standing = standing
        self._kinds = {handler.kind.TYPE: handler for handler in consumer.handlers}
        self._meter = LEDGER.consumer(consumer.name)
        self._lane_of_the_failing = asyncio.Semaphore(1)
        self._suspects = Suspects()
        self.burial = Burial(consumer, standing, self.failures)
        self._each = 0.0  # seconds an event takes of late

    async def healthy(self, bundle: list[Delivery]) -> None:
        """Events of some keys, each key's in order."""
        outages = 0
        while bundle and not self.stopping.is_set():
            try:
                async with self.lanes.one():
                    outages = 0 if await self.some(bundle) else outages + 1
            except SlowTogether:
                await self._each_key_for_itself(bundle)
            if outages and len({one.key for one in bundle}) > 1:  # it may be only one of them that has to wait
                await self._each_key_for_itself(bundle)
            elif outages:
                await self._wait_for_the_world(outages)
        if bundle:
            await self._give_back(bundle, after=0)

    async def _each_key_for_itself(self, bundle: list[Delivery]) -> None:
        """So that the one that is slow, or waits for the world, takes not the time of the others."""
        by_key: dict[str, list[Delivery]] = {}
        for delivery in bundle:
            by_key.setdefault(delivery.key, []).append(delivery)
        bundle.clear()
        ends = await asyncio.gather(*map(self.healthy, by_key.values()), return_exceptions=True)
        bundle += [delivery for left in by_key.values() for delivery in left]
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def failing(self, bundle: list[Delivery]) -> None:
        """Events of a key that failed before. They have one lane among themselves, so that handlers that hang take
        none from the others; and who would wait long for it gives back."""
        outages = 0
        while bundle and not self.stopping.is_set():
            try:
                await asyncio.wait_for(self._lane_of_the_failing.acquire(), _PATIENCE_WITH_THE_FAILING)
            except TimeoutError:
                await self._give_back(bundle, after=self._pace.retry_after(4))
                return
            try:
                outages = 0 if await self.some(bundle) else outages + 1
            finally:
                self._lane_of_the_failing.release()
            if outages:
                await self._wait_for_the_world(outages)
        if bundle:
            await self._give_back(bundle, after=0)

    async def some(self, bundle: list[Delivery]) -> bool:
        """Take from the bundle what has come to an end. Answers False when the world outside keeps it from going on.
        Raises SlowTogether."""
        while bundle and not self.stopping.is_set():
            part = bundle[: self._size()]
            if len(part) > 1 and await self._together(part):
                del bundle[: len(part)]
                continue
            for _ in part:
                if not bundle or self.stopping.is_set():
                    break
                try:
                    again = await self._one(bundle[0])
                except Outside:
                    return False
                if again is None:
                    del bundle[0]
                    continue
                # What follows of the same key is lent again after it, too.
                key = bundle[0].key
                held = [one for one in bundle if one.key == key]
                bundle[:] = [one for one in bundle if one.key != key]
                await self._give_back(held, after=again.after)
        return True

    def _size(self) -> int:
        if not self._each:
            return self._pace.together
        return max(1, min(self._pace.together, int(_LONGEST_TOGETHER / self._each)))

    async def _together(self, part: Sequence[Delivery]) -> bool:
        """One commit for many, where nothing is wrong with any of them."""
        started = time.perf_counter()
        try:
            told = [self._read(delivery) for delivery in part]
            if any(self._unended(one) > self._pace.attempts for one in told):
                return False
            async with asyncio.timeout(min(self._pace.handling, _LONGEST_WAIT)):
                applied = await applying.apply(self._consumer, told, Trial())
        except Exception as fault:
            took = time.perf_counter() - started
            self._each = max(self._each, took / len(part))
            if took > _LONGEST_TOGETHER and len({one.key for one in part}) > 1:
                raise SlowTogether from fault
            return False
        if applied.busy:
            return False
        self._ended(told, applied, (time.perf_counter() - started) / len(told))
        return True

    async def _one(self, delivery: Delivery) -> Again | None:
        """Answers when it shall come again, or None if that is the end of it. Raises Outside."""
        try:
            told = self._read(delivery)
            with applying.named_in_logs(told.envelope):
                if self._unended(told) <= self._pace.attempts:
                    return await self._handle(told)
                async with self._suspects.alone:
                    if self._unended(told) > self._pace.deliveries and not self._suspects.buried:
                        await self._bury_the_deadly(told)
                        return None
                    return await self._handle(told)
        except Unreadable as fault:
            await self._bury_unread(delivery, fault.letter)
            return None
        except Unavailable as fault:
            self._standing.lost()
            raise Outside from fault

    async def _handle(self, told: Told) -> Again | None:
        trial, started = Trial(), time.perf_counter()
        try:
            async with asyncio.timeout(self._pace.handling):
                applied = await applying.apply(self._consumer, [told], trial)
        except Unreadable:
            raise
        except Exception as fault:
            took = time.perf_counter() - started
            if await reasons.is_outside(fault, self._consumer.database, begun=trial.begun):
                self._note_outside(fault)
                raise Outside from fault
            self._meter.note(took, failed=True)
            return await self._failed(told, fault, trial)
        if applied.busy:
            return Again(_AT_ONCE)
        self._ended([told], applied, time.perf_counter() - started)
        return None

    async def _failed(self, told: Told, fault: Exception, trial: Trial) -> Again | None:
        count = self.failures.fail(told.id, told.delivery.key)
        if isinstance(fault, TimeoutError):
            fault = _too_long(fault, self._pace.handling)
        error, trace = reasons.described(fault, trial.pii)
        log.warning("event not handled", consumer=self._consumer.name, attempt=count, reason=error, exception=trace)
        if count < self._pace.attempts:
            return Again(self._pace.retry_after(count))
        await self._bury(told.delivery, told.letter(DeadState.FAILED, count, error, trace))
        return None

    async def _bury_the_deadly(self, told: Told) -> None:
        unended = self._unended(told)
        said = (
            f"It was delivered {unended - 1} times and handling it never came to an end: it may have ended its process."
        )
        await self._bury(told.delivery, told.letter(DeadState.FAILED, unended - 1, said))
        self._suspects.buried = True

    async def _bury_unread(self, delivery: Delivery, letter: Letter) -> None:
        self._meter.note(0.0, failed=True)
        try:
            await self._bury(delivery, letter)
        except Unavailable as fault:
            self._standing.lost()
            raise Outside from fault

    async def _bury(self, delivery: Delivery, letter: Letter) -> None:
        """Raises Unavailable."""
        if await self.burial.write(letter):
            self._loans.buried(delivery, letter.error)
        else:
            self._loans.done([delivery])

    def _ended(self, told: Sequence[Told], applied: applying.Applied, each: float) -> None:
        parked = {one.id for one in applied.parked}
        if parked:
            self._standing.count_soon()
        for one in told:
            self.failures.forget(one.id)
            if one.id not in parked:
                self._meter.note(each)
                self.rate.note()
        self._each = each if not self._each else 0.8 * self._each + 0.2 * each
        self._loans.done([one.delivery for one in told])

    async def _give_back(self, deliveries: Sequence[Delivery], *, after: float) -> None:
        for delivery in deliveries:
            with contextlib.suppress(Unreadable):
                told = self._read(delivery)
                self.failures.give_back(told.id, delivery.key)
        await self._loans.give_back(deliveries, after=after)

    async def _wait_for_the_world(self, outages: int) -> None:
        stopped = asyncio.create_task(self.stopping.wait())
        seconds = min(self._pace.retry_after(outages), _LONGEST_WAIT)
        await asyncio.wait([stopped], timeout=seconds)
        if not stopped.done():
            there = asyncio.create_task(self._standing.until_there(_LONGEST_WAIT))
            await asyncio.wait([stopped, there], return_when=asyncio.FIRST_COMPLETED)
            there.cancel()
        stopped.cancel()

    def _note_outside(self, fault: Exception) -> None:
        if reasons.is_of_the_database(fault):
            self._standing.lost()
        log.debug("event waits for the world outside", consumer=self._consumer.name, reason=repr(fault))

    def _read(self, delivery: Delivery) -> Told:
        return reading.read(delivery, self._kinds, horizon=self._pace.horizon, forgotten_to=self._standing.forgotten_to)

    def _unended(self, told: Told) -> int:
        """How often it was delivered, this time included, less those whose end is known."""
        return told.delivery.attempts - self.failures.returned(told.id)


class TookTooLong(Exception):
    """The handler was cut off."""


def _too_long(fault: TimeoutError, seconds: float) -> TookTooLong:
    said = TookTooLong(f"Not done after {seconds:g} s.").with_traceback(fault.__traceback__)
    said.__cause__ = fault.__cause__  # where it was
    return said
