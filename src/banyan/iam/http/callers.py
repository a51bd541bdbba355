"""Who asks iam itself, which knows at once what has ended."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import Request

from banyan.contracts.identity import Permission
from banyan.iam import queries
from banyan.iam.domain import AccountId, SessionId
from banyan.iam.http.browsers import now
from banyan.infra import identity
from banyan.infra.identity import Caller, Verifier
from banyan.infra.postgres import Database


def living(verifier: Verifier, database: Database) -> Callable[[Request], Awaitable[Caller]]:
    """A FastAPI dependency: the caller, whose session is alive. Raises SignedOut, NotPermitted, ForeignPage."""
    required = identity.required(verifier, Permission.OWN_ACCOUNT)

    async def dependency(request: Request) -> Caller:
        caller = await required(request)
        account_id, session_id = ids_of(caller)
        await queries.check_alive(database, account_id=account_id, session_id=session_id, now=now())
        return caller

    return dependency


def ids_of(caller: Caller) -> tuple[AccountId, SessionId]:
    return AccountId(UUID(caller.account_id)), SessionId(UUID(caller.session_id))
