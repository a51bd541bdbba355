"""What is read of accounts and sessions without changing them."""

from datetime import datetime, timedelta

from banyan.contracts import iam as wire
from banyan.contracts.events import AccountErased, AccountRegistered, ProfileChanged
from banyan.iam.domain import AccountId, SessionId
from banyan.infra.identity import SignedOut
from banyan.infra.postgres import Database

_TELLING_OF_PEOPLE = (AccountRegistered, ProfileChanged, AccountErased)

IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM account)"

ME = """
SELECT a.id, a.email, a.name, a.roles
FROM account a JOIN session s ON s.account_id = a.id
WHERE a.id = $1 AND a.erased_at IS NULL AND s.id = $2 AND s.ended_at IS NULL AND s.expires_at > $3
"""

ALIVE = """
SELECT 1 FROM session WHERE id = $1 AND account_id = $2 AND ended_at IS NULL AND expires_at > $3
"""

SESSIONS = """
SELECT id, created_at, last_seen_at, device, address FROM session
WHERE account_id = $1 AND ended_at IS NULL AND expires_at > $2
ORDER BY last_seen_at DESC, id DESC LIMIT 100
"""

# With the time of the newest event about them, in one statement: who copies them knows what is newer.
PEOPLE = """
SELECT id, name, coalesce(email, '') AS email, erased_at IS NOT NULL AS erased, coalesce(
    (SELECT max(at) FROM event WHERE key = account.id::text AND type = ANY($3)), erased_at, created_at
) AS told_at
FROM account WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2
"""
ACCOUNTS = "SELECT count(*) FROM account"

ERASURES = "SELECT id, erased_at FROM account WHERE erased_at IS NOT NULL ORDER BY erased_at, id"

REVOKED = "SELECT id FROM session WHERE ended_at > $1 ORDER BY ended_at DESC"


async def is_empty(database: Database) -> bool:
    return bool(await database.fetchval(IS_EMPTY))


async def me(database: Database, *, account_id: AccountId, session_id: SessionId, now: datetime) -> wire.Me:
    """Raises SignedOut where the session has ended, though its token may not know that yet."""
    row = await database.fetchrow(ME, account_id, session_id, now)
    if row is None:
        raise SignedOut
    return wire.Me(id=str(row["id"]), email=row["email"], name=row["name"], roles=sorted(row["roles"]))


async def check_alive(database: Database, *, account_id: AccountId, session_id: SessionId, now: datetime) -> None:
    """Raises SignedOut where the session has ended, in the seconds until Envoy knows it, too."""
    if await database.fetchval(ALIVE, session_id, account_id, now) is None:
        raise SignedOut


async def sessions(database: Database, *, account_id: AccountId, current: SessionId, now: datetime) -> wire.SessionList:
    """The newest first; more than a hundred nobody looks through."""
    rows = await database.fetch(SESSIONS, account_id, now)
    return wire.SessionList(
        items=[
            wire.Session(
                id=str(row["id"]),
                created_at=row["created_at"],
                last_seen_at=row["last_seen_at"],
                device=row["device"],
                address=row["address"],
                current=row["id"] == current,
            )
            for row in rows
        ]
    )


async def people(database: Database, *, after: AccountId | None, limit: int) -> wire.PersonPage:
    """Everybody, those who were erased, too."""
    rows = await database.fetch(PEOPLE, after, limit + 1, [kind.TYPE for kind in _TELLING_OF_PEOPLE])
    total = await database.fetchval(ACCOUNTS) if after is None else 0
    items = [
        wire.Person(
            id=str(row["id"]), name=row["name"], email=row["email"], erased=row["erased"], told_at=row["told_at"]
        )
        for row in rows[:limit]
    ]
    return wire.PersonPage(items=items, next=items[-1].id if len(rows) > limit else None, total=total)


async def erasures(database: Database) -> wire.ErasureList:
    """Everybody who was erased: all that is to be kept of them, so that a restore does not bring them back."""
    rows = await database.fetch(ERASURES)
    items = [wire.Erasure(account_id=str(row["id"]), erased_at=row["erased_at"]) for row in rows]
    return wire.ErasureList(items=items)


async def revoked(database: Database, *, now: datetime, life: timedelta) -> wire.RevokedSessions:
    """Sessions that ended so recently that a token of theirs could still be believed."""
    rows = await database.fetch(REVOKED, now - life)
    return wire.RevokedSessions(items=[str(row["id"]) for row in rows])
