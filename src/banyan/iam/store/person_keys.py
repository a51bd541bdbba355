"""Keys of people's data as rows, sealed, and the events that are still to be sealed with them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from banyan.iam.domain import AccountId
from banyan.infra.postgres import Connection, Row

# Where it was made meanwhile, that one counts. The trigger refuses whoever is erased.
INSERT = """
INSERT INTO person_key (account_id, sealed, made_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING account_id
"""
FIND = "SELECT sealed FROM person_key WHERE account_id = $1"
FIND_MANY = "SELECT account_id, sealed FROM person_key WHERE account_id = ANY($1)"
DESTROY = "DELETE FROM person_key WHERE account_id = $1"

# The program before this one may still erase somebody while it is being replaced.
DESTROY_LEFT_OVER = """
DELETE FROM person_key USING account WHERE account.id = account_id AND erased_at IS NOT NULL
"""

ERASED = "SELECT id FROM account WHERE id = ANY($1) AND erased_at IS NOT NULL"

LOCK_SEALING = "SELECT pg_try_advisory_xact_lock(7022)"
LIVING = "SELECT id FROM account WHERE id = ANY($1) AND erased_at IS NULL ORDER BY id FOR NO KEY UPDATE"
IN_PLAIN_TEXT = (
    "SELECT id, type, key, data->>'pii' AS pii FROM event WHERE in_plain_text(data) ORDER BY position LIMIT $1"
)
SEAL = """
UPDATE event SET data = jsonb_set(data, '{pii}', sealed.pii::jsonb)
FROM unnest($1::uuid[], $2::text[]) AS sealed (id, pii) WHERE event.id = sealed.id
"""


async def insert(tx: Connection, account_id: AccountId, sealed: bytes, *, now: datetime) -> bool:
    """Whether this one counts."""
    return await tx.fetchval(INSERT, account_id, sealed, now) is not None


async def find(tx: Connection, account_id: AccountId) -> bytes | None:
    found: bytes | None = await tx.fetchval(FIND, account_id)
    return found


async def find_many(tx: Connection, account_ids: Sequence[AccountId]) -> dict[AccountId, bytes]:
    return {AccountId(row["account_id"]): row["sealed"] for row in await tx.fetch(FIND_MANY, account_ids)}


async def destroy(tx: Connection, account_id: AccountId) -> None:
    """What was sealed with it opens to nobody any more."""
    await tx.execute(DESTROY, account_id)


async def destroy_left_over(tx: Connection) -> None:
    await tx.execute(DESTROY_LEFT_OVER)


async def erased(tx: Connection, account_ids: Sequence[AccountId]) -> list[AccountId]:
    return [AccountId(row["id"]) for row in await tx.fetch(ERASED, account_ids)]


async def lock_sealing(tx: Connection) -> bool:
    """One process at a time; whether it is this one."""
    return bool(await tx.fetchval(LOCK_SEALING))


async def lock_living(tx: Connection, account_ids: Sequence[AccountId]) -> set[AccountId]:
    """Those that are not erased, and will not be while the transaction lasts."""
    return {AccountId(row["id"]) for row in await tx.fetch(LIVING, account_ids)}


async def in_plain_text(tx: Connection, *, at_most: int) -> Sequence[Row]:
    return await tx.fetch(IN_PLAIN_TEXT, at_most)


async def seal(tx: Connection, sealed: Mapping[UUID, str]) -> None:
    await tx.execute(SEAL, list(sealed), list(sealed.values()))
