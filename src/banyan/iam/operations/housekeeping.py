"""What is over is forgotten."""

from datetime import datetime, timedelta

from banyan.iam.domain import Lifetimes
from banyan.iam.operations.signing import Signing
from banyan.iam.store import accounts, attempts, person_keys, sessions
from banyan.infra.postgres import Database

_SESSIONS_KEPT = timedelta(days=30)


class Housekeeping:
    def __init__(self, database: Database, signing: Signing, lifetimes: Lifetimes) -> None:
        self._database = database
        self._signing = signing
        self._lifetimes = lifetimes

    async def clean(self, *, now: datetime) -> None:
        await self._signing.keep(now=now)
        async with self._database.transaction() as tx:
            await attempts.purge(tx, now=now)
            await accounts.purge_resets(tx, now=now)
            await person_keys.destroy_left_over(tx)
            kept = max(_SESSIONS_KEPT, self._lifetimes.revoked)
            await sessions.purge(tx, before=now - kept, devices_before=now - self._lifetimes.device)
