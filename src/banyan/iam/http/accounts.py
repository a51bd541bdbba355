"""`/api/v1/accounts`, `/me` and `/password-resets`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from banyan.contracts import iam as wire
from banyan.contracts.identity import RESET_PATH
from banyan.iam import queries
from banyan.iam.domain import LinkSpent
from banyan.iam.http.browsers import Cookies, now, visit_of
from banyan.iam.http.callers import ids_of, living
from banyan.iam.operations.accounts import Accounts
from banyan.infra import http, identity
from banyan.infra.http import PROBLEM
from banyan.infra.identity import Caller, Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings

_REFUSED: dict[int | str, dict[str, Any]] = {401: PROBLEM, 403: PROBLEM, 422: PROBLEM, 503: PROBLEM}
_LIMITED: dict[int | str, dict[str, Any]] = {**_REFUSED, 429: PROBLEM}


def router(
    database: Database, accounts: Accounts, verifier: Verifier, cookies: Cookies, settings: Settings
) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["accounts"])
    own = Depends(living(verifier, database))

    @routes.post(
        "/accounts",
        status_code=201,
        response_model=wire.Me,
        operation_id="register",
        summary="A new account, signed in.",
        responses={**_LIMITED, 409: PROBLEM},
    )
    async def register(request: Request, wanted: wire.NewAccount) -> Response:
        identity.same_origin(request, settings)
        account, issued = await accounts.register(
            email=wanted.email, password=wanted.password, name=wanted.name, visit=visit_of(request, settings), now=now
        )
        me = wire.Me(id=str(account.id), email=account.email, name=account.name, roles=sorted(account.roles))
        response = http.json_response(me, 201, _UNCACHED)
        cookies.give(response, issued)
        return response

    @routes.get("/me", response_model=wire.Me, operation_id="me", summary="The account that asks.", responses=_REFUSED)
    async def me(caller: Annotated[Caller, own]) -> Response:
        account_id, session_id = ids_of(caller)
        found = await queries.me(database, account_id=account_id, session_id=session_id, now=now())
        return http.json_response(found, headers=_UNCACHED)

    @routes.patch(
        "/me", status_code=204, operation_id="rename", summary="Another name, everywhere.", responses=_REFUSED
    )
    async def rename(changed: wire.Profile, caller: Annotated[Caller, own]) -> Response:
        account_id, session_id = ids_of(caller)
        issued = await accounts.rename(account_id=account_id, session_id=session_id, name=changed.name, now=now)
        response = Response(status_code=204)
        cookies.give(response, issued)
        return response

    @routes.delete(
        "/me",
        status_code=204,
        operation_id="erase",
        summary="Erase the account: nothing personal is left, and all its sessions end.",
        responses=_LIMITED,
    )
    async def erase(request: Request, confirmed: wire.Confirmation, caller: Annotated[Caller, own]) -> Response:
        account_id, _ = ids_of(caller)
        await accounts.erase(
            account_id=account_id, password=confirmed.password, visit=visit_of(request, settings), now=now
        )
        response = Response(status_code=204)
        cookies.take(response)
        return response

    @routes.put(
        "/me/password",
        status_code=204,
        operation_id="change_password",
        summary="Another password; all other sessions end.",
        responses=_LIMITED,
    )
    async def change_password(
        request: Request, change: wire.PasswordChange, caller: Annotated[Caller, own]
    ) -> Response:
        account_id, session_id = ids_of(caller)
        await accounts.change_password(
            account_id=account_id,
            session_id=session_id,
            old=change.old,
            new=change.new,
            visit=visit_of(request, settings),
            now=now,
        )
        return Response(status_code=204)

    @routes.post(
        "/password-resets",
        status_code=202,
        operation_id="ask_reset",
        summary="Mail a link to set a new password, if there is such an account; the answer does not tell.",
        responses={403: PROBLEM, 422: PROBLEM, 429: PROBLEM, 503: PROBLEM},
    )
    async def ask_reset(request: Request, asked: wire.ResetRequest) -> Response:
        identity.same_origin(request, settings)
        await accounts.ask_reset(
            email=asked.email,
            visit=visit_of(request, settings),
            link=lambda token: f"{settings.url}{RESET_PATH}{token}",
            now=now(),
        )
        return Response(status_code=202)

    @routes.get(
        "/password-resets/{token}",
        status_code=204,
        operation_id="reset_works",
        summary="Whether the link still works.",
        responses={404: PROBLEM, 503: PROBLEM},
    )
    async def reset_works(token: str) -> Response:
        if not await accounts.reset_works(token=token, now=now()):
            raise LinkSpent
        return Response(status_code=204, headers=_UNCACHED)

    @routes.put(
        "/password-resets/{token}",
        status_code=204,
        operation_id="reset_password",
        summary="Set a new password by a mailed link, once; all sessions end.",
        responses={403: PROBLEM, 404: PROBLEM, 422: PROBLEM, 503: PROBLEM},
    )
    async def reset_password(request: Request, token: str, wanted: wire.Confirmation) -> Response:
        identity.same_origin(request, settings)
        await accounts.reset_password(token=token, password=wanted.password, now=now)
        return Response(status_code=204)

    return routes


_UNCACHED = {"cache-control": "no-store"}
