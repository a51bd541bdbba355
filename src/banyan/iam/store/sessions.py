"""Sessions and known devices as rows."""

from datetime import datetime, timedelta

from banyan.contracts.identity import Role
from banyan.iam.domain import Account, AccountId, SessionId, Visit
from banyan.infra.postgres import Connection

INSERT = """
INSERT INTO session (id, account_id, reference, created_at, last_seen_at, expires_at, device, address)
VALUES ($1, $2, $3, $4, $4, $5, $6, $7)
"""

# Only the row that is alive is touched, so a session that somebody ends at this moment stays ended.
TOUCH = """
UPDATE session s SET last_seen_at = $2, expires_at = $3, device = $4, address = $5
FROM account a
WHERE s.reference = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND a.id = s.account_id AND a.erased_at IS NULL
RETURNING s.id AS session_id, a.id, a.email, a.name, a.roles, a.locale
"""

END_ONE = """
UPDATE session SET ended_at = $3 WHERE id = $1 AND account_id = $2 AND ended_at IS NULL RETURNING id
"""

END_BY_REFERENCE = """
UPDATE session SET ended_at = $2 WHERE reference = $1 AND ended_at IS NULL RETURNING id, account_id
"""

END_ALL = """
UPDATE session SET ended_at = $2
WHERE account_id = $1 AND ended_at IS NULL AND ($3::uuid IS NULL OR id <> $3) RETURNING id
"""

FORGET_PLACES = "UPDATE session SET device = '', address = '' WHERE account_id = $1"
PURGE = "DELETE FROM session WHERE ended_at < $1 OR expires_at < $1"

REMEMBER_DEVICE = """
INSERT INTO known_device (account_id, device, seen_at) VALUES ($1, $2, $3)
ON CONFLICT (account_id, device) DO UPDATE SET seen_at = excluded.seen_at
"""
DEVICE_KNOWN_TO = """
SELECT 1 FROM known_device d JOIN account a ON a.id = d.account_id
WHERE a.email = $1 AND d.device = $2 AND d.seen_at > $3
"""
DEVICE_KNOWN = "SELECT 1 FROM known_device WHERE device = $1 AND seen_at > $2 LIMIT 1"
FORGET_DEVICES = "DELETE FROM known_device WHERE account_id = $1"
PURGE_DEVICES = "DELETE FROM known_device WHERE seen_at < $1"


async def insert(
    tx: Connection,
    *,
    session_id: SessionId,
    account_id: AccountId,
    reference: bytes,
    visit: Visit,
    now: datetime,
    life: timedelta,
) -> None:
    await tx.execute(INSERT, session_id, account_id, reference, now, now + life, visit.agent, visit.address)


async def touch(
    tx: Connection, reference: bytes, *, visit: Visit, now: datetime, life: timedelta
) -> tuple[SessionId, Account] | None:
    """The living session of that reference, seen now, and whose it is."""
    row = await tx.fetchrow(TOUCH, reference, now, now + life, visit.agent, visit.address)
    if row is None:
        return None
    account = Account(
        id=AccountId(row["id"]),
        email=row["email"],
        name=row["name"],
        roles=tuple(Role(role) for role in row["roles"]),
        locale=row["locale"],
        password_hash=None,
    )
    return SessionId(row["session_id"]), account


async def end_one(tx: Connection, session_id: SessionId, account_id: AccountId, *, now: datetime) -> bool:
    """Whether it was alive and of this account."""
    return await tx.fetchval(END_ONE, session_id, account_id, now) is not None


async def end_by_reference(tx: Connection, reference: bytes, *, now: datetime) -> tuple[SessionId, AccountId] | None:
    row = await tx.fetchrow(END_BY_REFERENCE, reference, now)
    return None if row is None else (SessionId(row["id"]), AccountId(row["account_id"]))


async def end_all(
    tx: Connection, account_id: AccountId, *, but: SessionId | None = None, now: datetime
) -> list[SessionId]:
    return [SessionId(row["id"]) for row in await tx.fetch(END_ALL, account_id, now, but)]


async def forget_places(tx: Connection, account_id: AccountId) -> None:
    await tx.execute(FORGET_PLACES, account_id)
    await tx.execute(FORGET_DEVICES, account_id)


async def remember_device(tx: Connection, account_id: AccountId, device: bytes, *, now: datetime) -> None:
    await tx.execute(REMEMBER_DEVICE, account_id, device, now)


async def device_known_to(tx: Connection, email: str, device: bytes, *, since: datetime) -> bool:
    return await tx.fetchval(DEVICE_KNOWN_TO, email, device, since) is not None


async def device_known(tx: Connection, device: bytes, *, since: datetime) -> bool:
    return await tx.fetchval(DEVICE_KNOWN, device, since) is not None


async def forget_devices(tx: Connection, account_id: AccountId) -> None:
    await tx.execute(FORGET_DEVICES, account_id)


async def purge(tx: Connection, *, before: datetime, devices_before: datetime) -> None:
    await tx.execute(PURGE, before)
    await tx.execute(PURGE_DEVICES, devices_before)
