"""One rebuild, step by step. Each step is a transaction that notes how far it came, so whoever takes over goes on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import asyncpg

from banyan.contracts.messaging import EventPage, StoredEvent
from banyan.infra import postgres
from banyan.infra.http_client import ServiceRefused
from banyan.infra.postgres import Connection
from banyan.kit.errors import Unavailable
from banyan.messaging import envelope
from banyan.messaging.consumers import Consumer, reasons
from banyan.messaging.envelope import Envelope
from banyan.messaging.rebuilding import FromStore, FromView, Way
from banyan.messaging.store import days
from banyan.messaging.work.shadows import STOP_HANDLING, Shadow

TAKE = "SELECT true FROM rebuild WHERE id = $1 AND state = 'running' FOR UPDATE"
NOTE = """
UPDATE rebuild SET done = CASE WHEN $3 THEN $2 ELSE done + $2 END, total = greatest(total, $4), detail = ''
WHERE id = $1
"""
FINISH = "UPDATE rebuild SET state = 'done', detail = '', ended_at = now() WHERE id = $1"
PATIENCE = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = '60s'"

# Longer than any transaction of ours may last: of what is older, everything that will ever be committed is.
SETTLED = timedelta(seconds=30)
_BATCH = 500
_MEANWHILE_SECONDS = 5.0


_OUTSIDE = (Unavailable, *postgres.LOST)
_OF_THE_DATA = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)


class Owner(Protocol):
    """The process that tells, asked on its own socket. Raises ServiceAway and ServiceRefused."""

    async def stream(self, *, types: list[str], after: int = 0, limit: int = 500) -> EventPage: ...

    async def event(self, event_id: str) -> StoredEvent: ...


class Over(Exception):
    """It was cancelled, or another process has finished it."""


class EventNotHandled(Exception):
    """The old state stays."""

    def __init__(self, event: StoredEvent, fault: Exception) -> None:
        super().__init__(
            f"{event.type} {event.id} cannot be handled ({reasons.described(fault)[0]});"
            f" `banyan event show {event.id}` shows it. The old state stays."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """`owner` is asked by who builds from the store."""

    id: UUID
    consumer: Consumer
    way: Way
    owner: Owner
    began_at: datetime
    settled: timedelta = SETTLED

    async def run(self) -> None:
        """Until the new state is in its place. Raises Over, EventNotHandled, Unavailable."""
        shadow = Shadow(self.consumer.name)
        place = await shadow.find(self.consumer.database, self.id)
        if place is None:
            async with self.consumer.database.transaction() as tx:
                await self._take(tx)
                await shadow.make(tx, self.way, self.id)
                await tx.execute(NOTE, self.id, 0, True, 0)
            place = ""
        if isinstance(self.way, FromView):
            await self._fill(self.way, shadow, place)
        else:
            await self._retell(self.way, shadow, place)

    async def _fill(self, way: FromView, shadow: Shadow, place: str) -> None:
        while True:
            page = await way.pages(place)
            following = page.next or place
            async with self.consumer.database.transaction() as tx:
                await self._step(tx, shadow, of=place, to=following, done=len(page.items), total=page.total)
                await shadow.enter(tx)
                await way.fill(tx, page.items)
            if page.next is None:
                break
            place = following
        async with self.consumer.database.transaction() as tx:
            await self._stop_handling(tx)
            await self._finish(tx, shadow)

    async def _retell(self, way: FromStore, shadow: Shadow, place: str) -> None:
        place = await self._tell_what_is_settled(way, shadow, place)
        # Nothing that was not committed yet at any question of ours can be older.
        young = days.first_id(self.began_at - 2 * self.settled)
        async with self.consumer.database.connection() as connection:
            missing = await shadow.missing(connection, since=young)
        handled = await self._events(missing, int(place or 0))
        async with self.consumer.database.transaction() as tx:
            await self._take(tx)
            await self._apply(tx, way, shadow, handled, passing=False)
        async with self.consumer.database.transaction() as tx:
            await self._stop_handling(tx)
            # What the consumer has handled, the new state must have; its owner is asked while it stands still, and for
            # no more than what came since the question before.
            missing = await shadow.missing(tx, since=young)
            async with asyncio.timeout(_MEANWHILE_SECONDS):
                handled = await self._events(missing, int(place or 0))
            await self._apply(tx, way, shadow, handled, passing=False)
            await self._finish(tx, shadow)

    async def _tell_what_is_settled(self, way: FromStore, shadow: Shadow, place: str) -> str:
        """Answers the position up to which nothing is left to be told."""
        after, settled_to, asked_at = int(place or 0), 0, datetime.now(UTC)
        while True:
            await self._catch_up_with_redriven(way, shadow, int(place or 0))
            # Where much was looked through in vain, something may have been committed behind us.
            after = after if datetime.now(UTC) - asked_at < self.settled / 2 else int(place or 0)
            asked_at = datetime.now(UTC)
            page = await self.owner.stream(types=self._types(), after=after, limit=_BATCH)
            settled_to = max(settled_to, self._settled_in(page, asked_at))
            told = [one for one in page.items if one.position <= settled_to]
            if told:
                following = str(told[-1].position)
                async with self.consumer.database.transaction() as tx:
                    await self._step(tx, shadow, of=place, to=following, done=len(told), total=0)
                    await self._apply(tx, way, shadow, told, passing=True)
                place = following
            if len(told) < len(page.items):  # too young, or of a clock that was ahead: then older ones follow
                settled_to = await self._settled_after(page)
                if settled_to <= int(place or 0):
                    return place
                after = int(place or 0)
            elif page.next is None:
                return place
            else:
                after = int(page.next)

    async def _settled_after(self, page: EventPage) -> int:
        found = 0
        while page.next is not None:
            asked_at = datetime.now(UTC)
            page = await self.owner.stream(types=self._types(), after=int(page.next), limit=_BATCH)
            found = max(found, self._settled_in(page, asked_at))
        return found

    def _settled_in(self, page: EventPage, now: datetime) -> int:
        """The position before which no other can be committed any more: it was drawn long enough ago."""
        until = days.first_id(now - self.settled)
        return max((one.position for one in page.items if UUID(one.id) < until), default=0)

    async def _events(self, wanted: Sequence[UUID], after: int) -> list[StoredEvent]:
        """In the order of positions. What its owner does not have, nobody can tell again."""
        left = {str(one) for one in wanted}
        found: list[StoredEvent] = []
        following: int | None = after
        while left and following is not None:
            page = await self.owner.stream(types=self._types(), after=following, limit=_BATCH)
            found += [one for one in page.items if one.id in left]
            left -= {one.id for one in page.items}
            following = int(page.next) if page.next is not None else None
        for event_id in left:
            try:
                found.append(await self.owner.event(event_id))
            except ServiceRefused as refusal:
                if refusal.status != 404:
                    raise
        return sorted(found, key=lambda one: one.position)

    async def _catch_up_with_redriven(self, way: FromStore, shadow: Shadow, after: int) -> None:
        """Dead letters that were handled since they were passed by come before what follows of their keys."""
        async with self.consumer.database.connection() as connection:
            redriven = await shadow.redriven(connection)
        if redriven:
            told = await self._events(redriven, after)
            async with self.consumer.database.transaction() as tx:
                await self._take(tx)
                await self._apply(tx, way, shadow, told, passing=False)

    async def _apply(
        self, tx: Connection, way: FromStore, shadow: Shadow, told: Sequence[StoredEvent], *, passing: bool
    ) -> None:
        """`passing`: what stands in the dead letters stays there."""
        ids = [UUID(one.id) for one in told]
        passed = await shadow.dead(tx, ids) if passing else set()
        new = await shadow.remember(tx, [one for one in ids if one not in passed])
        handlers = {one.kind.TYPE: (one.kind, way.handlers.get(one.kind, one.handle)) for one in self.consumer.handlers}
        path = await shadow.enter(tx)
        for one in told:
            if UUID(one.id) in new:
                kind, handle = handlers[one.type]
                try:
                    await handle(tx, envelope.event_in(_envelope(one), kind))
                except Exception as fault:
                    if isinstance(fault, _OUTSIDE) and not isinstance(fault, _OF_THE_DATA):
                        raise
                    raise EventNotHandled(one, fault) from fault
        await shadow.leave(tx, path)

    async def _step(self, tx: Connection, shadow: Shadow, *, of: str, to: str, done: int, total: int) -> None:
        await self._take(tx)
        if not await shadow.move(tx, of=of, to=to):
            raise Over
        await tx.execute(NOTE, self.id, done, False, total)

    async def _finish(self, tx: Connection, shadow: Shadow) -> None:
        await self.way.swap(tx, self.began_at - self.settled)
        await shadow.replace_inbox(tx)
        await shadow.drop(tx)
        await tx.execute(FINISH, self.id)

    async def _stop_handling(self, tx: Connection) -> None:
        await self._take(tx)
        await tx.execute(PATIENCE)
        await tx.execute(STOP_HANDLING)

    async def _take(self, tx: Connection) -> None:
        if not await tx.fetchval(TAKE, self.id):
            raise Over

    def _types(self) -> list[str]:
        return [one.kind.TYPE for one in self.consumer.handlers]


def _envelope(stored: StoredEvent) -> Envelope:
    return Envelope(
        id=stored.id,
        source=stored.source,
        type=stored.type,
        subject=stored.key,
        time=stored.at,
        requestid=stored.request_id,
        data=stored.data,
    )
