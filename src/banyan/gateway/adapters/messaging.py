"""What the contexts' processes say of their events. Each is asked once a second however many look, not at all when
nobody does; who does not answer holds nobody up, and the others are shown without it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from banyan.clients.messaging import MessagingClient
from banyan.contracts.messaging import DeadPage, MessagingNow, RebuildList, ReplayList
from banyan.gateway.adapters.monitoring import Known
from banyan.infra.http_client import ServiceAway, ServiceRefused
from banyan.infra.settings import Settings
from banyan.kit.errors import NotFound

T = TypeVar("T")

CONTEXTS = ("iam", "learning", "live")
TELLING = ("iam", "learning")
"""Those that have a store of what they told."""

_PATIENCE_SECONDS = 2.0
_HELD_UP_SECONDS = 0.5  # at most, once something is known
_A_SECOND = 0.9  # so that whoever looks once a second is never one look late
_MOST_REMEMBERED = 32


class ContextUnknown(NotFound):
    """No context of this name tells or hears of events."""


class Messaging:
    def __init__(self, clients: Mapping[str, MessagingClient]) -> None:
        self._clients = clients
        self._memory: dict[tuple[str, ...], _Memory[Any]] = {}

    def of(self, context: str) -> MessagingClient:
        """To ask it something once, or to have something done there. Raises ContextUnknown."""
        if context not in self._clients:
            raise ContextUnknown
        return self._clients[context]

    async def now(self) -> dict[str, Known[MessagingNow]]:
        return await self._of_each("now", lambda client: client.now())

    async def replays(self) -> dict[str, Known[ReplayList]]:
        return await self._of_each("replays", lambda client: client.replays())

    async def rebuilds(self) -> dict[str, Known[RebuildList]]:
        return await self._of_each("rebuilds", lambda client: client.rebuilds())

    async def dead(self, *, consumer: str, limit: int) -> dict[str, Known[DeadPage]]:
        """The first of each context."""

        async def ask(client: MessagingClient) -> DeadPage:
            try:
                return await client.dead(consumer=consumer, limit=limit)
            except ServiceRefused as refusal:
                if refusal.slug != "consumer-unknown":
                    raise
                return DeadPage(items=[])  # it is another context's

        return await self._of_each("dead", ask, asked=(consumer, str(limit)))

    def forget(self) -> None:
        """Something was changed: whoever looks next is told of it, not of what was."""
        for memory in self._memory.values():
            memory.forget()

    async def close(self) -> None:
        for memory in self._memory.values():
            await memory.close()
        for client in self._clients.values():
            await client.close()

    async def _of_each(
        self, what: str, ask: Callable[[MessagingClient], Awaitable[T]], *, asked: tuple[str, ...] = ()
    ) -> dict[str, Known[T]]:
        found = await asyncio.gather(
            *(self._remembered(what, context, *asked).know(ask, client) for context, client in self._clients.items())
        )
        return dict(zip(self._clients, found, strict=True))

    def _remembered(self, *key: str) -> "_Memory[Any]":
        memory = self._memory.pop(key, None) or _Memory()
        self._memory[key] = memory
        if len(self._memory) > _MOST_REMEMBERED:
            eldest = next(known for known, memory in self._memory.items() if not memory.is_asking)
            del self._memory[eldest]
        return memory


class _Memory(Generic[T]):
    """One question to one context, and what it answered last."""

    def __init__(self) -> None:
        self._known: Known[T] = Known(None, None, away=False)
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    @property
    def is_asking(self) -> bool:
        return self._asking is not None and not self._asking.done()

    def forget(self) -> None:
        self._asked_at = float("-inf")

    async def know(self, ask: Callable[[MessagingClient], Awaitable[T]], client: MessagingClient) -> Known[T]:
        if not self.is_asking and time.monotonic() - self._asked_at >= _A_SECOND:
            self._asked_at = time.monotonic()
            self._asking = asyncio.create_task(self._ask(ask, client))
        # Who was away the last time is asked again, but nobody waits for it.
        if self._asking is not None and not self._known.away:
            await asyncio.wait({self._asking}, timeout=_HELD_UP_SECONDS if self._known.at else None)
        return self._known

    async def _ask(self, ask: Callable[[MessagingClient], Awaitable[T]], client: MessagingClient) -> None:
        try:
            self._known = Known(await ask(client), datetime.now(UTC), away=False)
        except (ServiceAway, ServiceRefused):
            # Refused: by a process of another version, which does not know the question.
            self._known = Known(self._known.value, self._known.at, away=True)

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)


def messaging_of(settings: Settings) -> Messaging:
    return Messaging({context: MessagingClient(settings, context, patience=_PATIENCE_SECONDS) for context in CONTEXTS})
