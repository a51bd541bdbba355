"""Browsers that stand before iam as behind Envoy, which verifies a token and says whose session it is."""

import base64
import json
from http.cookies import SimpleCookie
from typing import Any

import httpx
from fastapi import FastAPI

from banyan.contracts import identity
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.processes import iam

PASSWORD = "correct horse battery"


class Browser:
    """One visitor's cookies. `origin` is what a browser adds to a write by itself."""

    def __init__(self, house: "House", *, address: str = "203.0.113.5", origin: str | None = "http://banyan.example"):
        self.house = house
        self.cookies: dict[str, str] = {}
        self.address = address
        self.origin = origin
        self.attributes: dict[str, str] = {}

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        sent = {"x-forwarded-for": self.address, "user-agent": "Firefox", **headers}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if self.origin is not None and method != "GET":
            sent.setdefault("origin", self.origin)
        token = self.cookies.get(identity.SESSION_COOKIE)
        if token is not None and "x-banyan-session" not in sent and self.house.verifies(token):
            sent["x-banyan-session"] = claims_of(token)["sid"]
        content = None if body is None else json.dumps(body).encode()
        answer = await self.house.client.request(
            method, path, content=content, headers={"content-type": "application/json", **sent}
        )
        self.house.client.cookies.clear()  # the client keeps none, each browser has its own
        self._keep(answer)
        return answer

    async def sign_up(self, email: str, *, name: str = "김하늘", password: str = PASSWORD) -> httpx.Response:
        return await self.ask("POST", "/api/v1/accounts", {"email": email, "password": password, "name": name})

    async def sign_in(self, email: str, password: str = PASSWORD) -> httpx.Response:
        return await self.ask("POST", "/api/v1/session", {"email": email, "password": password})

    @property
    def session_id(self) -> str:
        return str(claims_of(self.cookies[identity.SESSION_COOKIE])["sid"])

    def _keep(self, answer: httpx.Response) -> None:
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                self.attributes[name] = line
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value


class House:
    """iam's application; `revoked` are the sessions that Envoy denies."""

    def __init__(self, settings: Settings, database: Database, made: iam.Iam) -> None:
        self.settings = settings
        self.database = database
        self.iam = made
        self.app: FastAPI = iam.application(settings, database, made)
        self.revoked: set[str] = set()
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://banyan.example")

    def browser(self, **more: Any) -> Browser:
        return Browser(self, **more)

    def verifies(self, token: str) -> bool:
        """As Envoy does; whether iam does so, too, is what tests are about."""
        return token.count(".") == 2 and claims_of(token).get("sid") not in self.revoked

    async def close(self) -> None:
        await self.client.aclose()

    async def events(self) -> list[str]:
        rows = await self.database.fetch("SELECT type FROM event ORDER BY id")
        return [row["type"].split(".")[2] for row in rows]


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found
