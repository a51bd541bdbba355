"""What every context that tells or hears of events runs beside its own work: its consumers, the upkeep of its store,
and the face by which operators look into both."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging import choosing, face
from banyan.messaging.consumers import Consumer, consuming
from banyan.messaging.face import work
from banyan.messaging.relay import OWNERS
from banyan.messaging.work.replays import Replays


class Events:
    """`router` joins the process's application; `running` goes around its serving."""

    def __init__(
        self, settings: Settings, context: str, database: Database, *, consumers: Sequence[Consumer] = ()
    ) -> None:
        self._consumers = consumers
        self._broker = choosing.broker(settings, context)
        self._replays = [Replays(database, context)] if context in OWNERS else []
        self.router = face.router(*map(work.replays_router, self._replays))

    @asynccontextmanager
    async def running(self, *, after: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Begins when `after` (the process's `preparation.check`) no longer raises Unavailable."""
        try:
            async with AsyncExitStack() as beside:
                await beside.enter_async_context(consuming(self._broker, self._consumers, after=after))
                for replays in self._replays:
                    await beside.enter_async_context(replays.running(after=after))
                yield
        finally:
            await self._broker.close()
