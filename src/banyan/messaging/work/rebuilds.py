"""Rebuilds: a consumer's state is built anew beside the old one and takes its place when it is whole."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import asyncpg
import structlog

from banyan.contracts.messaging import Rebuild, RebuildList, WorkState
from banyan.infra import repeating
from banyan.infra.http_client import ServiceAway
from banyan.infra.postgres import Database, Row
from banyan.kit.errors import Conflict, NotFound, Refused, Unavailable
from banyan.kit.ids import uuid7
from banyan.messaging.consumers import Consumer, reasons
from banyan.messaging.rebuilding import FromView, Way
from banyan.messaging.work import building
from banyan.messaging.work.building import Building, EventNotHandled, Over, Owner
from banyan.messaging.work.shadows import Shadow

log = structlog.get_logger()

_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 1.0
_LISTED = 50

BEGIN = "INSERT INTO rebuild (id, consumer, state) VALUES ($1, $2, 'running') RETURNING *"
RUNNING = "SELECT * FROM rebuild WHERE state = 'running' ORDER BY started_at, id"
LIST = "SELECT * FROM rebuild ORDER BY started_at DESC, id DESC LIMIT $1"
CANCEL = "UPDATE rebuild SET state = 'cancelled', ended_at = now() WHERE id = $1 AND state = 'running' RETURNING id"
STATE = "SELECT state FROM rebuild WHERE id = $1"
WAIT = "UPDATE rebuild SET detail = $2 WHERE id = $1 AND state = 'running'"
GIVE_UP = "UPDATE rebuild SET state = 'failed', detail = $2, ended_at = now() WHERE id = $1 AND state = 'running'"
LEFT_OVER = """
SELECT to_regnamespace($1) IS NOT NULL
    AND NOT EXISTS (SELECT FROM rebuild WHERE consumer = $2 AND state = 'running')
"""


class ConsumerUnknown(NotFound):
    def __init__(self, consumer: str, known: Sequence[str]) -> None:
        super().__init__(f"There is no consumer '{consumer}' here. There are {', '.join(known) or 'none'}.")


class NotRebuildable(Refused):
    def __init__(self, consumer: str) -> None:
        super().__init__(f"Nobody has said how {consumer} is built anew: give its Consumer a `rebuild`.")


class RebuildRuns(Conflict):
    def __init__(self, consumer: str) -> None:
        super().__init__(f"{consumer} is being rebuilt already. Wait for it, or cancel it.")


class RebuildUnknown(NotFound):
    """There is no such rebuild. `banyan CONTEXT rebuild ls` lists them."""


class RebuildIsOver(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(f"This rebuild is {state} already.")


class Rebuilds:
    """Those of one process's consumers. `owner` answers who tells a consumer's events."""

    def __init__(
        self,
        database: Database,
        consumers: Sequence[Consumer],
        *,
        owner: Callable[[str], Owner],
        settled: timedelta = building.SETTLED,
    ) -> None:
        self._database = database
        self._consumers = {one.name: one for one in consumers}
        self._owner = owner
        self._settled = settled
        self._woken = asyncio.Event()

    async def begin(self, consumer: str) -> Rebuild:
        """Raises ConsumerUnknown, NotRebuildable, RebuildRuns."""
        known = self._consumers.get(consumer)
        if known is None:
            raise ConsumerUnknown(consumer, sorted(self._consumers))
        if known.rebuild is None:
            raise NotRebuildable(consumer)
        try:
            row = await self._database.fetchrow(BEGIN, uuid7(), consumer)
        except asyncpg.UniqueViolationError:
            raise RebuildRuns(consumer) from None
        assert row is not None
        self._woken.set()
        log.info("a rebuild begins", consumer=consumer, rebuild=str(row["id"]))
        return _told(row)

    async def latest(self) -> RebuildList:
        """The newest first."""
        return RebuildList(items=[_told(row) for row in await self._database.fetch(LIST, _LISTED)])

    async def cancel(self, rebuild_id: UUID) -> None:
        """The old state stays. Raises RebuildUnknown, RebuildIsOver."""
        if await self._database.fetchval(CANCEL, rebuild_id) is None:
            state = await self._database.fetchval(STATE, rebuild_id)
            if state is None:
                raise RebuildUnknown
            raise RebuildIsOver(state)

    @asynccontextmanager
    async def running(self, *, after: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Rebuild beside the block, what an earlier process has begun, too."""
        async with repeating.beside(self._run(after)):
            yield

    async def _run(self, after: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await after()
                for row in await self._database.fetch(RUNNING):
                    await self._build(row)
                await self._clear_up()
            except Unavailable:
                pass
            except Exception:
                log.exception("looking after rebuilds failed and is tried again")
                await asyncio.sleep(_AGAIN_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _LOOK_SECONDS)
            self._woken.clear()

    async def _build(self, row: Row) -> None:
        consumer = self._consumers.get(row["consumer"])
        if consumer is None or consumer.rebuild is None:  # a later version's, perhaps
            return
        try:
            await self._building(row, consumer, consumer.rebuild).run()
            log.info("a rebuild is done", consumer=consumer.name, rebuild=str(row["id"]))
        except Over:
            log.info("a rebuild is over", consumer=consumer.name, rebuild=str(row["id"]))
        except Unavailable as fault:
            await self._database.fetch(WAIT, row["id"], f"waits: {_reason(fault, consumer.source)}"[:500])
            await asyncio.sleep(_AGAIN_SECONDS)
        except Exception as fault:
            # What an owner shows may be people, and a database repeats in its messages what it was given.
            error, trace = reasons.described(fault, private=isinstance(consumer.rebuild, FromView))
            said = str(fault) if isinstance(fault, EventNotHandled) else error
            log.error("a rebuild failed", consumer=consumer.name, rebuild=str(row["id"]), reason=said, exception=trace)
            await self._database.fetch(GIVE_UP, row["id"], said[:1000])

    def _building(self, row: Row, consumer: Consumer, way: Way) -> Building:
        return Building(
            id=row["id"],
            consumer=consumer,
            way=way,
            owner=self._owner(consumer.source),
            began_at=row["started_at"],
            settled=self._settled,
        )

    async def _clear_up(self) -> None:
        """What a cancelled or failed one has left."""
        for name, consumer in self._consumers.items():
            shadow = Shadow(name)
            if consumer.rebuild is not None and await self._database.fetchval(LEFT_OVER, shadow.schema, name):
                async with self._database.transaction() as tx:
                    await shadow.drop(tx)


def _reason(fault: Unavailable, source: str) -> str:
    if isinstance(fault, ServiceAway) and fault.detail == ServiceAway().detail:
        return f"{source} does not answer on this machine"
    return fault.detail


def _told(row: Row) -> Rebuild:
    return Rebuild(
        id=str(row["id"]),
        consumer=row["consumer"],
        state=WorkState(row["state"]),
        total=row["total"],
        done=row["done"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        detail=row["detail"],
    )
