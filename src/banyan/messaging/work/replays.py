"""Replays: what has happened is told again, in its order, at a bounded rate, to all who subscribed or to one of them.

A step puts some stored events back into the outbox and notes how far it came, in one transaction: so a process that is
killed leaves neither a gap nor a double, and goes on when it is back.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import structlog

from banyan.contracts.messaging import Replay, ReplayList, ReplayWish, WorkState
from banyan.infra import repeating
from banyan.infra.postgres import Connection, Database, Row
from banyan.kit.errors import Conflict, NotFound, Unavailable
from banyan.kit.ids import uuid7
from banyan.messaging import subscriptions
from banyan.messaging.store import days
from banyan.messaging.work import wishes
from banyan.messaging.work.wishes import Filter

log = structlog.get_logger()

MOST_AT_ONCE = 2
_STEP_SECONDS = 0.1
_LOOK_SECONDS = 0.5
_LARGEST_STEP = 2_000
# Where few events are meant, a step looks through so many positions and no more: it holds a lock.
_WINDOW = 20_000
_OUTBOX_SECONDS = 2
_COUNT_SECONDS = 10.0
_LISTED = 50
_A_WHILE = timedelta(days=1)

COUNT = "SELECT count(*) AS total, min(position) AS first, max(position) AS last FROM event WHERE {conditions}"
ARCHIVED = """
SELECT count(DISTINCT day) FROM archived_day
WHERE day >= coalesce($1::date, day) AND day <= coalesce($2::date, day)
"""
OLDER = "SELECT EXISTS (SELECT FROM event WHERE id < $1)"
RUNNING = "SELECT id FROM replay WHERE state = 'running' ORDER BY started_at, id"
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('replay', 0))"
BEGIN = """
INSERT INTO replay (id, filter, consumer, rate, total, last_position, end_position, state, detail, asked_by, ended_at)
VALUES ($1, $2::jsonb, $3, $4, $5, $6, $7, $8, $9, $10, CASE WHEN $8 = 'done' THEN now() END) RETURNING *
"""
# Another process of this context may be at it.
TAKE = """
SELECT filter::text, consumer, rate, last_position, end_position FROM replay
WHERE id = $1 AND state = 'running' FOR UPDATE SKIP LOCKED
"""
OUTBOX = "SELECT count(*) FROM (SELECT FROM outbox LIMIT $1) AS counted"
TELL = """
WITH chosen AS (
    SELECT id, position FROM event WHERE position > $1 AND position <= $2 AND {conditions} ORDER BY position LIMIT $3
), told AS (
    INSERT INTO outbox (event_id, consumer) SELECT id, $4 FROM chosen ORDER BY position
)
SELECT count(*) AS told, max(position) AS last FROM chosen
"""
NOTE = """
UPDATE replay SET done = done + $2, last_position = $3,
    state = CASE WHEN $3 >= end_position THEN 'done' ELSE state END,
    ended_at = CASE WHEN $3 >= end_position THEN now() END
WHERE id = $1
"""
GIVE_UP = "UPDATE replay SET state = 'failed', detail = $2, ended_at = now() WHERE id = $1 AND state = 'running'"
CANCEL = "UPDATE replay SET state = 'cancelled', ended_at = now() WHERE id = $1 AND state = 'running' RETURNING id"
STATE = "SELECT state FROM replay WHERE id = $1"
LIST = "SELECT * FROM replay ORDER BY started_at DESC, id DESC LIMIT $1"


class ReplayUnknown(NotFound):
    """There is no such replay. `banyan event replays` lists them."""


class ReplayIsOver(Conflict):
    def __init__(self, state: str) -> None:
        super().__init__(f"This replay is {state} already.")


class TooManyReplays(Conflict):
    def __init__(self) -> None:
        super().__init__(
            f"{MOST_AT_ONCE} replays run already. Wait for one, or cancel one: `banyan event replays` lists them."
        )


class Replays:
    """Those of one context's own events. `remembered`: for so many seconds inboxes know what was handled."""

    def __init__(self, database: Database, source: str, *, remembered: float | None = None) -> None:
        self._database = database
        self._source = source
        self._remembered = timedelta(seconds=remembered) if remembered is not None else None
        self._woken = asyncio.Event()
        self._paces: dict[UUID, _Budget] = {}

    async def ask(self, wish: ReplayWish) -> Replay:
        """Begin one, or only count. Raises TooManyReplays and what `wishes.filter_of` does."""
        now = datetime.now(UTC)
        chosen = wishes.filter_of(wish, source=self._source, now=now)
        detail = await self._archived(chosen, wish.consumer)
        if self._remembered is not None:
            # It would go to the dead letters, and what comes after it of its key, too. A replay takes a while.
            chosen = replace(chosen, lowest=days.first_id(now - self._remembered + _A_WHILE))
            if await self._database.fetchval(OLDER, chosen.lowest):
                detail = f"{detail} What is older than consumers remember is not replayed.".strip()
        conditions, values = chosen.conditions(1)
        found = await self._database.fetchrow(COUNT.format(conditions=conditions), *values)
        assert found is not None
        total = int(found["total"])
        if wish.dry_run:
            return _dry(wish, self._source, total=total, detail=detail, now=now)
        async with self._database.transaction() as tx:
            await tx.execute(ONE_AT_A_TIME)
            if len(await tx.fetch(RUNNING)) >= MOST_AT_ONCE:
                raise TooManyReplays
            row = await tx.fetchrow(
                BEGIN,
                uuid7(),
                msgspec.json.encode(chosen).decode(),
                wish.consumer,
                wish.rate,
                total,
                (found["first"] or 1) - 1,
                found["last"] or 0,
                WorkState.RUNNING if total else WorkState.DONE,
                detail,
                wish.asked_by[:200],
            )
        self._woken.set()
        assert row is not None
        log.info("a replay begins", replay=str(row["id"]), total=total, rate=wish.rate, consumer=wish.consumer)
        return self._told(row)

    async def latest(self) -> ReplayList:
        """The newest first."""
        return ReplayList(items=[self._told(row) for row in await self._database.fetch(LIST, _LISTED)])

    async def cancel(self, replay_id: UUID) -> None:
        """What is in the outbox by now is still told. Raises ReplayUnknown, ReplayIsOver."""
        if await self._database.fetchval(CANCEL, replay_id) is None:
            state = await self._database.fetchval(STATE, replay_id)
            if state is None:
                raise ReplayUnknown
            raise ReplayIsOver(state)

    @asynccontextmanager
    async def running(self, *, after: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Replay beside the block, what an earlier process has begun, too."""
        async with repeating.beside(self._run(after)):
            yield

    async def _run(self, after: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                await after()
                busy = await self._round()
                failures = 0
            except Unavailable:
                busy = False
            except Exception:
                failures += 1
                if failures == 1 or failures % 60 == 0:
                    log.exception("replaying failed and is tried again", failures=failures)
                busy = False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _STEP_SECONDS if busy else _LOOK_SECONDS)
            self._woken.clear()

    async def _round(self) -> bool:
        running = [row["id"] for row in await self._database.fetch(RUNNING)]
        self._paces = {one: self._paces.get(one) or _Budget() for one in running}
        for replay_id in running:
            try:
                await self._step(replay_id)
            except Unavailable:
                raise
            except Exception as fault:
                log.exception("a replay cannot go on", replay=str(replay_id))
                await self._database.fetchval(GIVE_UP, replay_id, f"{type(fault).__name__}: {fault}"[:500])
        return bool(running)

    async def _step(self, replay_id: UUID) -> None:
        async with self._database.transaction() as tx:
            row = await tx.fetchrow(TAKE, replay_id)
            if row is None:
                return
            due = self._paces[replay_id].due(row["rate"])
            # Never faster than the relay: what lies in the outbox keeps what has just happened waiting.
            if due == 0 or await tx.fetchval(OUTBOX, _OUTBOX_SECONDS * row["rate"] + 1) > _OUTBOX_SECONDS * row["rate"]:
                return
            told = await self._tell(tx, replay_id, row, due)
        self._paces[replay_id].spend(told)

    async def _tell(self, tx: Connection, replay_id: UUID, row: Row, due: int) -> int:
        chosen = msgspec.json.decode(row["filter"], type=Filter)
        conditions, values = chosen.conditions(5)
        until = min(row["end_position"], row["last_position"] + _WINDOW)
        queue = row["consumer"]
        told = await tx.fetchrow(TELL.format(conditions=conditions), row["last_position"], until, due, queue, *values)
        assert told is not None
        reached = told["last"] if told["told"] == due else until
        await tx.execute(NOTE, replay_id, told["told"], reached)
        return int(told["told"])

    def _told(self, row: Row) -> Replay:
        return Replay(
            id=str(row["id"]),
            source=self._source,
            state=WorkState(row["state"]),
            total=row["total"],
            done=row["done"],
            rate=row["rate"],
            consumer=row["consumer"],
            started_at=row["started_at"],
            ended_at=row["ended_at"],
            detail=row["detail"],
        )

    async def _archived(self, chosen: Filter, consumer: str | None) -> str:
        since, until = (at.astimezone(UTC).date() if at is not None else None for at in (chosen.since, chosen.until))
        archived = await self._database.fetchval(ARCHIVED, since, until)
        if not archived:
            return ""
        role = subscriptions.subscription_of(consumer).role if consumer else "CONTEXT"
        count = "1 day is" if archived == 1 else f"{archived} days are"
        return f"{count} in the archive and not replayed; `banyan {role} rebuild` reads it."


class _Budget:
    """How many events are due; what could not be told in time is not made up for."""

    def __init__(self) -> None:
        self._since = time.monotonic() - _STEP_SECONDS
        self._left = 0.0

    def due(self, rate: int) -> int:
        now = time.monotonic()
        self._left = min(self._left + (now - self._since) * rate, max(1.0, rate * 3 * _STEP_SECONDS))
        self._since = now
        return min(int(self._left), _LARGEST_STEP)

    def spend(self, told: int) -> None:
        self._left -= told


def _dry(wish: ReplayWish, source: str, *, total: int, detail: str, now: datetime) -> Replay:
    return Replay(
        id="",
        source=source,
        state=WorkState.DONE,
        total=total,
        done=0,
        rate=wish.rate,
        consumer=wish.consumer,
        started_at=now,
        ended_at=now,
        detail=detail,
    )
