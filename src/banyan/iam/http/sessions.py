"""`/api/v1/session` of this browser, `/api/v1/sessions` of the account."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from banyan.contracts import iam as wire
from banyan.iam import queries
from banyan.iam.domain import SessionId
from banyan.iam.http.browsers import Cookies, now, visit_of
from banyan.iam.http.callers import ids_of, living
from banyan.iam.operations.sessions import Sessions
from banyan.infra import http, identity
from banyan.infra.http import PROBLEM
from banyan.infra.identity import Caller, Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings


def router(
    database: Database, sessions: Sessions, verifier: Verifier, cookies: Cookies, settings: Settings
) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["sessions"])
    own = Depends(living(verifier, database))

    @routes.post(
        "/session",
        status_code=204,
        operation_id="sign_in",
        summary="Sign in: a new session, in cookies.",
        responses={401: PROBLEM, 403: PROBLEM, 422: PROBLEM, 429: PROBLEM, 503: PROBLEM},
    )
    async def sign_in(request: Request, given: wire.Credentials) -> Response:
        identity.same_origin(request, settings)
        issued = await sessions.sign_in(
            email=given.email, password=given.password, visit=visit_of(request, settings), now=now
        )
        response = Response(status_code=204)
        cookies.give(response, issued)
        return response

    @routes.delete(
        "/session",
        status_code=204,
        operation_id="sign_out",
        summary="Sign out. Doing it twice is fine.",
        responses={403: PROBLEM, 503: PROBLEM},
    )
    async def sign_out(request: Request) -> Response:
        identity.same_origin(request, settings)
        caller = await verifier.caller(request)
        named = None
        if caller is not None:
            account_id, session_id = ids_of(caller)
            named = (session_id, account_id)
        await sessions.sign_out(reference=visit_of(request, settings).reference, session=named, now=now())
        response = Response(status_code=204)
        cookies.take(response)
        return response

    @routes.get(
        "/sessions",
        response_model=wire.SessionList,
        operation_id="sessions",
        summary="Where the account is signed in.",
        responses={401: PROBLEM, 403: PROBLEM, 503: PROBLEM},
    )
    async def listed(caller: Annotated[Caller, own]) -> Response:
        account_id, session_id = ids_of(caller)
        found = await queries.sessions(database, account_id=account_id, current=session_id, now=now())
        return http.json_response(found, headers={"cache-control": "no-store"})

    @routes.delete(
        "/sessions",
        status_code=204,
        operation_id="end_other_sessions",
        summary="End all sessions of the account but this one.",
        responses={401: PROBLEM, 403: PROBLEM, 503: PROBLEM},
    )
    async def end_others(caller: Annotated[Caller, own]) -> Response:
        account_id, session_id = ids_of(caller)
        await sessions.end_others(account_id=account_id, but=session_id, now=now())
        return Response(status_code=204)

    @routes.delete(
        "/sessions/{session_id}",
        status_code=204,
        operation_id="end_session",
        summary="End one of the account's sessions.",
        responses={401: PROBLEM, 403: PROBLEM, 404: PROBLEM, 422: PROBLEM, 503: PROBLEM},
    )
    async def end(session_id: UUID, caller: Annotated[Caller, own]) -> Response:
        account_id, current = ids_of(caller)
        await sessions.end(session_id=SessionId(session_id), account_id=account_id, now=now())
        response = Response(status_code=204)
        if session_id == current:
            cookies.take(response)
        return response

    return routes
