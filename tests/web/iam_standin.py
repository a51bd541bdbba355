"""A small real HTTP service in `iam`'s place: accounts in memory, cookies as iam sets them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from banyan.contracts.iam import Me, Session, SessionList

from .identities import Person

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PASSWORD = "banyan-demo"  # the tests' own
SPENT = "spent-link"
COOKIE_ATTRIBUTES = "Max-Age=2592000; Path=/; HttpOnly; SameSite=lax"


class IamStandIn:
    """`seen` are the requests with their bodies; `refuse` makes every change answer so."""

    def __init__(self) -> None:
        self.person = Person()
        self.emails = {"learner@banyan.test": PASSWORD}
        self.seen: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        self.refuse: tuple[int, str, dict[str, str]] | None = None
        self.sessions = [
            Session(
                id=self.person.session_id,
                created_at=datetime(2026, 11, 20, 3, tzinfo=UTC),
                last_seen_at=datetime(2026, 11, 24, 3, tzinfo=UTC),
                device="Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36",
                address="203.0.113.7",
                current=True,
            ),
            Session(
                id="0f8fad5b-d9cb-469f-a165-70867728950e",
                created_at=datetime(2026, 11, 1, 3, tzinfo=UTC),
                last_seen_at=datetime(2026, 11, 22, 11, 5, tzinfo=UTC),
                device="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile Safari/604.1",
                address="2001:db8:1:2::7",
                current=False,
            ),
        ]

    def routes(self, app: web.Application) -> None:
        for method, path, handler in [
            ("POST", "/api/v1/session", self._sign_in),
            ("DELETE", "/api/v1/session", self._take),
            ("POST", "/api/v1/accounts", self._sign_up),
            ("GET", "/api/v1/me", self._me),
            ("PATCH", "/api/v1/me", self._give),
            ("DELETE", "/api/v1/me", self._take),
            ("PUT", "/api/v1/me/password", self._password),
            ("GET", "/api/v1/sessions", self._sessions),
            ("DELETE", "/api/v1/sessions", self._nothing),
            ("DELETE", "/api/v1/sessions/{id}", self._nothing),
            ("POST", "/api/v1/password-resets", self._nothing),
            ("GET", "/api/v1/password-resets/{token}", self._link),
            ("PUT", "/api/v1/password-resets/{token}", self._link),
        ]:
            app.router.add_route(method, path, _answering(handler))

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path, _, _ in self.seen if method != "GET"]

    async def _read(self, request: web.Request) -> dict[str, str]:
        content = await request.read()
        body: dict[str, str] = msgspec.json.decode(content) if content else {}
        self.seen.append((request.method, request.path, body, dict(request.headers)))
        if self.refuse is not None and request.method != "GET":
            status, slug, headers = self.refuse
            raise _Refused(status, slug, headers)
        return body

    async def _sign_in(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if self.emails.get(body["email"]) != body["password"]:
            raise _Refused(401, "wrong-credentials")
        return self._given(web.Response(status=204))

    async def _sign_up(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if body["email"] in self.emails:
            raise _Refused(409, "email-taken")
        me = Me(id=self.person.account_id, email=body["email"], name=body["name"], roles=["learner"])
        return self._given(web.Response(status=201, body=msgspec.json.encode(me)))

    async def _me(self, request: web.Request) -> web.Response:
        await self._read(request)
        me = Me(id=self.person.account_id, email="learner@banyan.test", name=self.person.name, roles=["learner"])
        return web.Response(body=msgspec.json.encode(me))

    async def _sessions(self, request: web.Request) -> web.Response:
        await self._read(request)
        return web.Response(body=msgspec.json.encode(SessionList(items=self.sessions)))

    async def _password(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if body["old"] != PASSWORD:
            raise _Refused(422, "wrong-password")
        return web.Response(status=204)

    async def _link(self, request: web.Request) -> web.Response:
        await self._read(request)
        if request.match_info["token"] == SPENT:
            raise _Refused(404, "link-spent")
        return web.Response(status=204)

    async def _nothing(self, request: web.Request) -> web.Response:
        await self._read(request)
        return web.Response(status=204)

    async def _give(self, request: web.Request) -> web.Response:
        await self._read(request)
        return self._given(web.Response(status=204))

    async def _take(self, request: web.Request) -> web.Response:
        await self._read(request)
        response = web.Response(status=204)
        for name in ("banyan_session", "banyan_fresh", "banyan_ref"):
            response.headers.add("set-cookie", f'{name}=""; Max-Age=0; Path=/; HttpOnly; SameSite=lax')
        return response

    def _given(self, response: web.Response) -> web.Response:
        for name, value in (("banyan_session", self.person.token), ("banyan_ref", "r" * 43), ("banyan_fresh", "1")):
            response.headers.add("set-cookie", f"{name}={value}; {COOKIE_ATTRIBUTES}")
        return response


class _Refused(Exception):
    def __init__(self, status: int, slug: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.slug, self.headers = status, slug, headers


def _answering(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except _Refused as no:
            body = {"type": f"/_banyan/problems/{no.slug}", "title": "", "status": no.status, "detail": no.slug}
            return web.Response(
                status=no.status,
                body=msgspec.json.encode(body),
                headers=no.headers,
                content_type="application/problem+json",
            )

    return answer
