"""The faces of learning over a real database, asked by people with real tokens."""

import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from banyan.contracts import identity
from banyan.infra import http
from banyan.infra.identity import Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.learning.adapters import Maker, MediaFolder
from banyan.learning.domain.media import Signer
from banyan.learning.http import routers
from banyan.learning.operations.views import Views

KEY = ECKey.generate_key("P-256", {"kid": "test"}, private=True)


class IamKeys:
    """iam's keys, without iam."""

    async def find(self, kid: str) -> ECKey | None:
        return KEY if kid == "test" else None

    @staticmethod
    def jwks() -> str:
        return json.dumps(KeySet([KEY]).as_dict(private=False))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, signed in."""

    id: uuid.UUID = field(default_factory=uuid.uuid4)
    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    roles: str = "learner"

    @property
    def headers(self) -> dict[str, str]:
        claims = {
            "iss": identity.ISSUER,
            "aud": identity.AUDIENCE,
            "exp": int(time.time()) + 600,
            "sub": str(self.id),
            "sid": self.session,
            "name": "하늘",
            "roles": self.roles,
            "locale": "ko",
        }
        token = jwt.encode({"alg": "ES256", "kid": "test"}, claims, KEY)
        return {"authorization": f"Bearer {token}", identity.SESSION_HEADER: self.session}


@dataclass(slots=True)
class Classroom:
    http: httpx.AsyncClient
    views: Views
    signer: Signer
    folder: Path

    async def get(self, path: str, who: Person | None = None, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers={**_headers(who), **headers})

    async def enrol(self, slug: object, who: Person | None) -> httpx.Response:
        return await self.http.post("/api/v1/enrolments", json={"course": slug}, headers=_headers(who))

    async def hear(self, lesson_id: object, who: Person | None, **beat: object) -> httpx.Response:
        body = {"position_seconds": 0, "watched": [], **beat}
        return await self.http.put(f"/api/v1/lessons/{lesson_id}/progress", json=body, headers=_headers(who))


@asynccontextmanager
async def opened(
    database: Database, folder: Path, *, lifetime: timedelta = timedelta(hours=1), maker: Maker | None = None
) -> AsyncIterator[Classroom]:
    settings = Settings.read({"BANYAN_DATA": str(folder)})
    signer, views = Signer("secret of a test", lifetime), Views(database)
    faces = routers(
        database,
        verifier=Verifier(IamKeys(), settings),
        signer=signer,
        folder=MediaFolder(folder / "media", maker=maker),
        views=views,
    )
    app = http.application("learning", faces, settings=settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://learning") as client:
        yield Classroom(client, views, signer, folder / "media")


def _headers(who: Person | None) -> dict[str, str]:
    return who.headers if who is not None else {}
