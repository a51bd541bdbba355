"""What only our own processes ask: keys, ended sessions, and Envoy's question whether a session goes on.

Keys of people's data are for services that show that they are one: whoever reaches this process could ask the rest."""

import contextlib
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from banyan.contracts import iam as wire
from banyan.contracts import messaging
from banyan.contracts.identity import GONE_HEADER, TOKEN_HEADER
from banyan.iam import queries
from banyan.iam.domain import AccountId, Lifetimes
from banyan.iam.http.browsers import Cookies, now, visit_of
from banyan.iam.operations.person_keys import PersonKeys
from banyan.iam.operations.sessions import Sessions
from banyan.iam.operations.signing import Signing
from banyan.infra import http, service_tokens
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.kit.errors import Refused, Unavailable


def router(
    database: Database,
    signing: Signing,
    sessions: Sessions,
    person_keys: PersonKeys,
    cookies: Cookies,
    lifetimes: Lifetimes,
    settings: Settings,
) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/internal/keys", response_model=wire.Keys)
    async def keys() -> Response:
        return http.json_response(wire.Keys(jwks=await signing.published(now=now())))

    @routes.get("/internal/revoked-sessions", response_model=wire.RevokedSessions)
    async def revoked() -> Response:
        return http.json_response(await queries.revoked(database, now=now(), life=lifetimes.revoked))

    services_only = Depends(service_tokens.services_only(settings, audience="iam"))

    @routes.post("/internal/person-keys", response_model=messaging.PersonKeys, dependencies=[services_only])
    async def keys_of_people(wanted: messaging.PersonsAsked) -> Response:
        if len(wanted.persons) > messaging.MOST_PERSONS:
            raise TooManyPersons
        return http.json_response(await person_keys.of_people(wanted.persons), headers=_KEPT_NOWHERE)

    @routes.get("/internal/people", response_model=wire.PersonPage, dependencies=[services_only])
    async def people(after: UUID | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 500) -> Response:
        page = await queries.people(database, after=None if after is None else AccountId(after), limit=limit)
        return http.json_response(page, headers=_KEPT_NOWHERE)

    # Envoy asks with the method of the visitor's request, whatever that is.
    routes.routes.append(Route("/gw/refresh", _Refresh(sessions, cookies, settings), methods=[]))
    return routes


_KEPT_NOWHERE = {"cache-control": "no-store"}


class TooManyPersons(Refused):
    """Ask for the keys of at most 100 people at once."""


class _Refresh:
    """Always 200: Envoy would hand any refusal on to a visitor whose token may still be good."""

    def __init__(self, sessions: Sessions, cookies: Cookies, settings: Settings) -> None:
        self._sessions = sessions
        self._cookies = cookies
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = Response(status_code=200)
        # Where nothing is known, nothing is said: the visitor's token counts for as long as it lives.
        with contextlib.suppress(Unavailable):
            await self._renew(Request(scope), response)
        await response(scope, receive, send)

    async def _renew(self, request: Request, response: Response) -> None:
        visit = visit_of(request, self._settings)
        issued = None
        if visit.reference is not None:
            issued = await self._sessions.renew(reference=visit.reference, visit=visit)
        if issued is None:
            response.headers[GONE_HEADER] = "1"
            self._cookies.take(response)
            return
        response.headers[TOKEN_HEADER] = issued.token
        self._cookies.give(response, issued)
