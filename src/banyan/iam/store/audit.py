"""Who did what to whom: lines are only ever added, and hold ids only, and the reason of whoever gave one."""

from datetime import datetime
from typing import Literal, TypeAlias

from banyan.iam.domain import AccountId
from banyan.infra.postgres import Connection

Action: TypeAlias = Literal[
    "registered",
    "signed-in",
    "signed-out",
    "session-ended",
    "sessions-ended",
    "renamed",
    "password-changed",
    "invited",
    "password-reset",
    "roles-changed",
    "erased",
    "event-unmasked",
]

RECORD = "INSERT INTO audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)"


async def record(
    tx: Connection, *, action: Action, actor: AccountId | None, subject: AccountId, detail: str = "", now: datetime
) -> None:
    """Every change of an account or a session says so here; `actor` is None for whoever sits at the machine."""
    await tx.execute(RECORD, now, actor, action, subject, detail)
