"""What every context that tells or hears of events runs beside its own work: its consumers, the upkeep of its store,
and the face by which operators look into both."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from banyan.clients.messaging import MessagingClient
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging import choosing, face
from banyan.messaging.consumers import Consumer, Hearing
from banyan.messaging.face import dead, now, stored, work
from banyan.messaging.pace import horizon_of
from banyan.messaging.relay import OWNERS
from banyan.messaging.store import days
from banyan.messaging.store.reading import Erased, Store
from banyan.messaging.store.upkeep import Upkeep
from banyan.messaging.work.rebuilds import Rebuilds
from banyan.messaging.work.replays import Replays


class Events:
    """`router` joins the process's application; `running` goes around its serving. `erased`: see Store."""

    def __init__(
        self,
        settings: Settings,
        context: str,
        database: Database,
        *,
        consumers: Sequence[Consumer] = (),
        erased: Erased | None = None,
    ) -> None:
        self._broker = choosing.broker(settings, context)
        self._hearing = Hearing(self._broker, [_paced(consumer, settings) for consumer in consumers])
        self._upkeep = Upkeep(settings, context, database)
        self._replays = (
            [Replays(database, context, remembered=horizon_of(settings.event_retention))] if context in OWNERS else []
        )
        self._owners = {one.source: MessagingClient(settings, one.source) for one in consumers}
        self._rebuilds = Rebuilds(database, consumers, owner=self._owners.__getitem__)
        self.router = face.router(
            now.router(context, self._hearing, database, broker=settings.broker, tells=context in OWNERS),
            dead.router(self._hearing, database),
            stored.router(Store(settings, context, database, erased=erased), context),
            *map(work.replays_router, self._replays),
            work.rebuilds_router(self._rebuilds),
        )

    @asynccontextmanager
    async def running(self, *, after: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Begins when `after` (the process's `preparation.check`) no longer raises Unavailable."""
        try:
            async with AsyncExitStack() as beside:
                await beside.enter_async_context(self._hearing.running(after=after))
                await beside.enter_async_context(self._upkeep.running(after=after))
                for replays in self._replays:
                    await beside.enter_async_context(replays.running(after=after))
                await beside.enter_async_context(self._rebuilds.running(after=after))
                yield
        finally:
            for owner in self._owners.values():
                await owner.close()
            await self._broker.close()


async def make_days(database: Database) -> None:
    """Before a process is ready: what happens from now on has a day."""
    await days.make_ahead(database, now=datetime.now(UTC))


def _paced(consumer: Consumer, settings: Settings) -> Consumer:
    """Its own pace, and how patient the operator wants all of them to be."""
    horizon = horizon_of(settings.event_retention)
    return replace(consumer, pace=replace(consumer.pace, attempts=settings.event_attempts, horizon=horizon))
