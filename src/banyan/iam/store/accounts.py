"""Accounts as rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from banyan.contracts.identity import Role
from banyan.iam.domain import Account, AccountId, AccountUnknown, EmailTaken, LinkSpent
from banyan.infra.mail import Mail
from banyan.infra.postgres import Connection, Row

COLUMNS = ("id", "email", "name", "roles", "locale", "password_hash", "created_at")

INSERT = """
INSERT INTO account (id, email, name, roles, locale, password_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

FIND = """
SELECT id, email, name, roles, locale, password_hash FROM account WHERE email = $1 AND erased_at IS NULL
"""

LOCK = """
SELECT id, email, name, roles, locale, password_hash FROM account WHERE id = $1 AND erased_at IS NULL
FOR NO KEY UPDATE
"""

SAVE = "UPDATE account SET name = $2, roles = $3, locale = $4, password_hash = $5 WHERE id = $1"

ERASE = """
UPDATE account SET email = NULL, name = '', roles = '{}', password_hash = NULL, erased_at = $2 WHERE id = $1
"""

KNOWN = "SELECT id FROM account WHERE id = ANY($1)"
TAKEN = "SELECT email FROM account WHERE email = ANY($1)"
LOCK_SEED = "SELECT pg_advisory_xact_lock(7021)"
ANALYZE = "ANALYZE account"

# One statement whether or not there is such an account, so that its time tells nothing.
ADD_RESET = """
WITH owner AS (SELECT id, email FROM account WHERE email = $1 AND erased_at IS NULL),
link AS (INSERT INTO password_reset (token, account_id, created_at, expires_at) SELECT $2, id, $3, $4 FROM owner)
INSERT INTO mail (id, account_id, recipient, subject, body, created_at, next_at, give_up_at)
SELECT $5, id, email, $6, $7, $3, $3, $4 FROM owner
"""

ADD_RESET_OF = "INSERT INTO password_reset (token, account_id, created_at, expires_at) VALUES ($1, $2, $3, $4)"
TAKE_RESET = "DELETE FROM password_reset WHERE token = $1 AND expires_at > $2 RETURNING account_id"
RESET_WORKS = "SELECT 1 FROM password_reset WHERE token = $1 AND expires_at > $2"
DROP_RESETS = "DELETE FROM password_reset WHERE account_id = $1"
PURGE_RESETS = "DELETE FROM password_reset WHERE expires_at <= $1"


async def insert(tx: Connection, account: Account, *, now: datetime) -> None:
    """Raises EmailTaken."""
    try:
        await tx.execute(
            INSERT,
            account.id,
            account.email,
            account.name,
            list(account.roles),
            account.locale,
            account.password_hash,
            now,
        )
    except asyncpg.UniqueViolationError:
        raise EmailTaken from None


async def find(tx: Connection, email: str) -> Account | None:
    row = await tx.fetchrow(FIND, email)
    return None if row is None else _account(row)


async def lock(tx: Connection, account_id: AccountId) -> Account:
    """Raises AccountUnknown, for an erased one too."""
    row = await tx.fetchrow(LOCK, account_id)
    if row is None:
        raise AccountUnknown
    return _account(row)


async def save(tx: Connection, account: Account) -> None:
    roles = list(account.roles)
    await tx.execute(SAVE, account.id, account.name, roles, account.locale, account.password_hash)


async def erase(tx: Connection, account_id: AccountId, *, now: datetime) -> None:
    await tx.execute(ERASE, account_id, now)


async def add_mailed_reset(tx: Connection, *, token: bytes, mail: Mail, now: datetime, expires_at: datetime) -> None:
    """A link and the mail that carries it, if there is an account to send it to."""
    await tx.execute(ADD_RESET, mail.recipient, token, now, expires_at, UUID(mail.id), mail.subject, mail.body)


async def add_reset_of(
    tx: Connection, *, token: bytes, account_id: AccountId, now: datetime, expires_at: datetime
) -> None:
    await tx.execute(ADD_RESET_OF, token, account_id, now, expires_at)


async def reset_works(tx: Connection, token: bytes, *, now: datetime) -> bool:
    return await tx.fetchval(RESET_WORKS, token, now) is not None


async def take_reset(tx: Connection, token: bytes, *, now: datetime) -> AccountId:
    """Whose password may be set; nobody takes it twice. Raises LinkSpent."""
    found = await tx.fetchval(TAKE_RESET, token, now)
    if found is None:
        raise LinkSpent
    return AccountId(found)


async def drop_resets(tx: Connection, account_id: AccountId) -> None:
    await tx.execute(DROP_RESETS, account_id)


async def purge_resets(tx: Connection, *, now: datetime) -> None:
    await tx.execute(PURGE_RESETS, now)


async def known(tx: Connection, ids: Sequence[UUID]) -> set[UUID]:
    return {row["id"] for row in await tx.fetch(KNOWN, ids)}


async def taken(tx: Connection, emails: Sequence[str]) -> set[str]:
    return {row["email"] for row in await tx.fetch(TAKEN, emails)}


async def lock_seed(tx: Connection) -> None:
    """One seed at a time."""
    await tx.execute(LOCK_SEED)


async def load(tx: Connection, records: Iterable[tuple[object, ...]]) -> None:
    """Many at once, in the order of COLUMNS."""
    await tx.copy_records_to_table("account", records=records, columns=COLUMNS)


async def refresh_statistics(connection: Connection) -> None:
    await connection.execute(ANALYZE)


def _account(row: Row) -> Account:
    return Account(
        id=AccountId(row["id"]),
        email=row["email"],
        name=row["name"],
        roles=tuple(Role(role) for role in row["roles"]),
        locale=row["locale"],
        password_hash=row["password_hash"],
    )
