"""Signing keys as rows."""

from banyan.iam.domain import SigningKey
from banyan.infra.postgres import Connection

ALL = "SELECT kid, public, private, created_at, signs_from FROM signing_key ORDER BY signs_from"
INSERT = "INSERT INTO signing_key (kid, public, private, created_at, signs_from) VALUES ($1, $2, $3, $4, $5)"
DROP = "DELETE FROM signing_key WHERE kid = $1"
LOCK = "LOCK TABLE signing_key IN SHARE ROW EXCLUSIVE MODE"


async def load_all(tx: Connection) -> list[SigningKey]:
    return [SigningKey(**row) for row in await tx.fetch(ALL)]


async def lock(tx: Connection) -> None:
    """One change at a time; readers go on."""
    await tx.execute(LOCK)


async def insert(tx: Connection, key: SigningKey) -> None:
    await tx.execute(INSERT, key.kid, key.public, key.private, key.created_at, key.signs_from)


async def drop(tx: Connection, kid: str) -> None:
    await tx.execute(DROP, kid)
