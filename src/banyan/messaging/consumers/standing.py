"""Whether a consumer may borrow just now: its own database is there, and nobody has paused it."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog

from banyan.contracts.monitor import Letters
from banyan.infra.telemetry.figures import LEDGER
from banyan.kit.errors import Unavailable
from banyan.messaging.consumers.consumer import Consumer
from banyan.messaging.letters import pauses

log = structlog.get_logger()

_LOOK_SECONDS = 0.5
_LOOK_AGAIN_SECONDS = 0.1  # while it is away: the first look after it came back ends the waiting
_COUNT_EVERY = 4  # looks


class Standing:
    """As the consumer's own database says, looked at twice a second. `due` is called when a key is to be redriven."""

    def __init__(self, consumer: Consumer, *, due: Callable[[], None]) -> None:
        self.paused_at: datetime | None = None
        self.paused_by = ""
        self.forgotten_to: UUID | None = None
        self.dead = 0
        self.parked = 0
        self.away = True  # until it was looked at
        self._consumer = consumer
        self._due = due
        self._open = asyncio.Event()
        self._there = asyncio.Event()
        self._poked = asyncio.Event()
        self._looks = 0

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def lost(self) -> None:
        """Somebody has found the database away."""
        self._open.clear()
        self._there.clear()
        self._poked.set()

    def look_now(self) -> None:
        """Somebody has changed something."""
        self._poked.set()

    def count_soon(self) -> None:
        """There are more or fewer letters: the next look counts them."""
        self._looks = 0

    def count_now(self) -> None:
        """There is another dead letter."""
        self.count_soon()
        self._poked.set()

    async def until_open(self) -> None:
        await self._open.wait()

    async def until_there(self, seconds: float) -> None:
        """The database is there, or so much time has passed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._there.wait(), seconds)

    async def watch(self) -> None:
        """Until cancelled."""
        said = ""
        while True:
            self._poked.clear()
            try:
                await self.look(count=self._looks % _COUNT_EVERY == 0)
                self._looks += 1
                said = ""
            except Exception as fault:
                if not self.away:
                    log.warning("consuming waits for its database", consumer=self._consumer.name, reason=repr(fault))
                if not isinstance(fault, Unavailable) and repr(fault) != said:
                    said = repr(fault)
                    log.exception("cannot look after a consumer", consumer=self._consumer.name)
                self.away = True
                self.lost()
                self._poked.clear()
                self._looks = 0
            with contextlib.suppress(TimeoutError):
                pause = _LOOK_AGAIN_SECONDS if self.away else _LOOK_SECONDS
                await asyncio.wait_for(self._poked.wait(), pause)

    async def look(self, *, count: bool) -> None:
        found = await pauses.look(self._consumer.database, self._consumer.name)
        if count:
            self.dead, self.parked = await pauses.count(self._consumer.database, self._consumer.name)
            LEDGER.letters[self._consumer.name] = Letters(self.dead, self.parked)
        self.away = False
        self._there.set()
        self.paused_at, self.paused_by = found.paused_at, found.paused_by
        self.forgotten_to = found.forgotten_to
        if found.paused_at is not None:
            self._open.clear()
            return
        self._open.set()
        if found.due:
            self._due()
