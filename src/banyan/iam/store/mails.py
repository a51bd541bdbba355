"""Mails that wait to be sent. A row goes when its mail has gone, so no link stays readable here."""

from datetime import datetime, timedelta
from uuid import UUID

from banyan.iam.domain import AccountId
from banyan.infra.mail import Mail
from banyan.infra.postgres import Connection

DUE = """
SELECT id, recipient, subject, body, created_at, attempts FROM mail
WHERE next_at <= $1 ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
"""
POSTPONE = "UPDATE mail SET next_at = $2, attempts = attempts + 1 WHERE id = $1"
REMOVE = "DELETE FROM mail WHERE id = $1"
GIVE_UP = "DELETE FROM mail WHERE give_up_at <= $1"
DROP_OF = "DELETE FROM mail WHERE account_id = $1"


async def claim(tx: Connection, *, now: datetime, lease: timedelta) -> Mail | None:
    """The next due mail, nobody else's for as long as `lease`: a sender that dies lets go of it by itself."""
    row = await tx.fetchrow(DUE, now)
    if row is None:
        return None
    delay = max(lease, timedelta(seconds=min(5 << min(row["attempts"], 10), 600)))
    await tx.execute(POSTPONE, row["id"], now + delay)
    return Mail(
        id=str(row["id"]), recipient=row["recipient"], subject=row["subject"], body=row["body"], at=row["created_at"]
    )


async def remove(tx: Connection, mail_id: str) -> None:
    await tx.execute(REMOVE, UUID(mail_id))


async def give_up(tx: Connection, *, now: datetime) -> None:
    await tx.execute(GIVE_UP, now)


async def drop_of(tx: Connection, account_id: AccountId) -> None:
    await tx.execute(DROP_OF, account_id)
