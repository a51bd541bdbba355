"""Dead letters that are tried again, each key's in order."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from banyan.contracts.messaging import DeadState
from banyan.infra.postgres import Row
from banyan.kit.errors import Unavailable
from banyan.messaging.broker import Delivery
from banyan.messaging.consumers import applying, reading, reasons
from banyan.messaging.consumers.applying import Trial
from banyan.messaging.consumers.consumer import Consumer
from banyan.messaging.consumers.reading import Told, Unreadable
from banyan.messaging.letters import redrives
from banyan.messaging.letters.redrives import Claimed

log = structlog.get_logger()

_LONGEST_WAIT = 2.0
_MOMENT = 0.05  # somebody parks behind the key, or is at it


class NotOursAnyMore(Exception):
    """Somebody else redrives this key, or has discarded of it what we were about to try."""


class Redriver:
    """Beside the reading, in every process that runs the consumer: a key is one's at a time."""

    def __init__(self, consumer: Consumer, *, may_go_on: Callable[[], bool]) -> None:
        self._consumer = consumer
        self._pace = consumer.pace
        self._kinds = {handler.kind.TYPE: handler for handler in consumer.handlers}
        self._may_go_on = may_go_on
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled. What was unknown and is known by now goes on by itself."""
        outages = 0
        asked = False
        while True:
            try:
                if not asked:
                    await redrives.redrive_known(self._consumer.database, self._consumer.name, sorted(self._kinds))
                    asked = True
                await self.redrive_due()
                outages = 0
            except Unavailable:
                outages += 1
            except Exception:
                outages += 1
                log.exception("cannot redrive", consumer=self._consumer.name)
            if outages:
                await asyncio.sleep(min(self._pace.retry_after(outages), _LONGEST_WAIT))
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _LONGEST_WAIT)
            self._woken.clear()

    async def redrive_due(self) -> None:
        """All keys that are due. Raises Unavailable; they stay due."""
        while self._may_go_on():
            claimed = await redrives.claim(self._consumer.database, self._consumer.name)
            if claimed is None:
                return
            try:
                await self._key(claimed)
            except Exception as fault:
                await redrives.ended(self._consumer.database, self._consumer.name, claimed.key)
                if not isinstance(fault, NotOursAnyMore):
                    raise
                await asyncio.sleep(_MOMENT)

    async def _key(self, claimed: Claimed) -> None:
        most = self._pace.together
        while self._may_go_on():
            rows = await redrives.head(self._consumer.database, self._consumer.name, claimed.key, most=most)
            if claimed.tries > self._pace.attempts and rows:
                said = f"It was tried {claimed.tries - 1} times and that never came to an end: it may end its process."
                await self._give_up(claimed.key, rows[0], DeadState.FAILED, said, "", again=False)
                return
            if len(rows) > 1 and await self._together(claimed.key, rows):
                most = self._pace.together
                continue
            if not await self._one(claimed.key, rows[:1]):
                return
            # Whatever was wrong with several of them, it takes a while until several are tried at once again.
            most = min(self._pace.together, 2 * max(1, len(rows) // 4)) if len(rows) > 1 else self._pace.together
        await redrives.ended(self._consumer.database, self._consumer.name, claimed.key)  # perhaps before the first try

    async def _together(self, key: str, rows: Sequence[Row]) -> bool:
        try:
            await self._apply(key, rows, Trial())
        except (NotOursAnyMore, Unavailable):
            raise
        except Exception:
            return False
        return True

    async def _one(self, key: str, rows: Sequence[Row]) -> bool:
        """Whether the next of the key may be tried."""
        trial = Trial()
        try:
            await self._apply(key, rows, trial)
        except NotOursAnyMore:
            raise
        except Unreadable as fault:
            await self._give_up(key, rows[0], fault.letter.state, fault.letter.error, "", again=False)
            return False
        except Exception as fault:
            if await reasons.is_outside(fault, self._consumer.database, begun=trial.begun):
                raise fault if isinstance(fault, Unavailable) else Unavailable from fault
            error, trace = reasons.described(fault, trial.pii)
            log.warning("dead letter not handled", consumer=self._consumer.name, letter=rows[0]["id"], reason=error)
            await self._give_up(key, rows[0], DeadState.FAILED, error, trace, again=True)
            return False
        return bool(rows)

    async def _apply(self, key: str, rows: Sequence[Row], trial: Trial) -> None:
        """Raises NotOursAnyMore, Unreadable, and whatever the handlers do."""
        told = [self._read(key, row) for row in rows]
        name = self._consumer.name
        async with asyncio.timeout(self._pace.handling):
            events = await applying.opened(self._consumer, told, trial)
            async with self._consumer.database.transaction() as tx:
                letters = [row["id"] for row in rows]
                if not await redrives.lock(tx, name, key, letters):
                    raise NotOursAnyMore
                for one, event in zip(told, events, strict=True):
                    if await redrives.remember(tx, name, one.id):
                        trial.begun = True
                        with applying.named_in_logs(one.envelope):
                            await one.handler.handle(tx, event)
                await redrives.done(tx, name, key, letters)
        if told:
            log.info("dead letters handled", consumer=name, letters=len(told), key=key)

    async def _give_up(self, key: str, row: Row, state: str, error: str, trace: str, *, again: bool) -> None:
        """Say why. What has not been tried as often as any event is tried again by itself, ever later."""
        attempts = row["attempts"] + 1
        again = again and attempts < self._pace.attempts
        async with self._consumer.database.transaction() as tx:
            if not await redrives.lock(tx, self._consumer.name, key, [row["id"]]):
                raise NotOursAnyMore
            await redrives.explain(tx, row["id"], state=state, attempts=attempts, error=error, traceback=trace)
            after = self._pace.retry_after(attempts) if again else None
            await redrives.give_up(tx, self._consumer.name, key, again_after=after)

    def _read(self, key: str, row: Row) -> Told:
        # Its age does not count any more: somebody has looked at it.
        return reading.read(Delivery(row["id"], key, row["attempts"], row["body"]), self._kinds, horizon=None)
