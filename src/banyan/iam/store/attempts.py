"""Failed attempts, counted by what was attacked and by where from."""

from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from banyan.iam.domain import Limit
from banyan.infra.postgres import Connection

Scope: TypeAlias = Literal["account", "address", "device", "registration", "reset-address", "reset-account"]
Counter: TypeAlias = tuple[Scope, bytes]

OPEN_AT = "SELECT open_at FROM attempt WHERE scope = $1 AND key = $2 AND forget_at > $3"

COUNT = """
INSERT INTO attempt AS a (scope, key, failures, last_at, open_at, forget_at) VALUES ($1, $2, 1, $3, $3, $4)
ON CONFLICT (scope, key) DO UPDATE SET
    failures = CASE WHEN a.forget_at > $3 THEN a.failures + 1 ELSE 1 END,
    last_at = $3, open_at = $3, forget_at = $4
RETURNING failures
"""
CLOSE_UNTIL = "UPDATE attempt SET open_at = $3 WHERE scope = $1 AND key = $2"
CLEAR = "DELETE FROM attempt WHERE scope = $1 AND key = $2"
PURGE = "DELETE FROM attempt WHERE forget_at <= $1"


async def wait(tx: Connection, counters: list[Counter], *, now: datetime) -> timedelta:
    """How long the next attempt has to wait; nothing where all counters are open."""
    longest = timedelta(0)
    for scope, key in counters:
        open_at = await tx.fetchval(OPEN_AT, scope, key, now)
        if open_at is not None:
            longest = max(longest, open_at - now)
    return longest


async def count(tx: Connection, counter: Counter, limit: Limit, *, now: datetime) -> int:
    """One more failure, and the wait that it brings; answers how many there are now."""
    scope, key = counter
    failures: int = await tx.fetchval(COUNT, scope, key, now, now + limit.forget)
    closed = limit.wait_after(failures)
    if closed:
        await tx.execute(CLOSE_UNTIL, scope, key, now + closed)
    return failures


async def clear(tx: Connection, counter: Counter) -> None:
    await tx.execute(CLEAR, *counter)


async def purge(tx: Connection, *, now: datetime) -> None:
    await tx.execute(PURGE, now)
