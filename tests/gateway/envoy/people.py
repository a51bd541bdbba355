"""An iam that signs real tokens and can be unwell, and browsers' cookies for it."""

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from joserfc import jwt
from joserfc.jwk import ECKey

from banyan.contracts.identity import AUDIENCE, ISSUER
from banyan.gateway import jobs
from banyan.gateway.adapters.trust import Trust
from tests.gateway.envoy.fronts import Front, front
from tests.gateway.envoy.upstreams import Received, Upstream

SUZY = "5f0c1e8e-0000-5000-8000-000000000001"
MINHO = "5f0c1e8e-0000-5000-8000-000000000002"


def new_key() -> ECKey:
    key = ECKey.generate_key("P-256")
    return ECKey.import_key({**key.as_dict(private=True), "kid": key.thumbprint(), "use": "sig", "alg": "ES256"})


def new_session() -> str:
    return str(uuid.uuid4())


@dataclass(slots=True)
class Iam:
    """`mood` is how it answers: `well`, `503`, `silent`, or `gone` (it knows no session). A renewal is of SUZY."""

    keys: list[ECKey] = field(default_factory=lambda: [new_key()])
    session: str = field(default_factory=new_session)
    ended: list[str] = field(default_factory=list)
    mood: str = "well"
    renewals: list[Received] = field(default_factory=list)

    def token(self, who: str = SUZY, *, key: ECKey | None = None, life: float = 3600, **claims: object) -> str:
        given = {"iss": ISSUER, "aud": AUDIENCE, "sub": who, "sid": self.session, "roles": "learner", "name": "수지"}
        now = int(time.time())
        given |= {"locale": "ko", "iat": now, "exp": int(now + life), **claims}
        signer = key or self.keys[-1]
        return jwt.encode({"alg": "ES256", "kid": signer.kid}, given, signer, algorithms=["ES256"])

    async def find(self, kid: str) -> ECKey | None:
        return next((key for key in self.keys if key.kid == kid), None)

    def cookies(self, *names: str, token: str | None = None) -> str:
        """A Cookie header with these of ours: session, fresh, ref."""
        values = {"session": token or self.token(), "fresh": "1", "ref": "r" * 43}
        return "Cookie: " + "; ".join(f"banyan_{name}={values[name]}" for name in names)

    async def talk(self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await upstream.receive(reader)
            path = request.path.decode()
            if path.startswith("/gw/refresh"):
                self.renewals.append(request)
            if self.mood == "silent":
                await asyncio.sleep(60)
            lines, body = self._answer(path)
            status = "503 Unavailable" if self.mood == "503" else "200 OK"
            head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines]
            writer.write("\r\n".join([*head, "", ""]).encode() + body)
            await writer.drain()

    def _answer(self, path: str) -> tuple[Sequence[str], bytes]:
        if path == "/internal/keys":
            public = [{**key.as_dict(private=False), "kid": key.kid, "alg": "ES256"} for key in self.keys]
            return (), json.dumps({"jwks": json.dumps({"keys": public})}).encode()
        if path == "/internal/revoked-sessions":
            return (), json.dumps({"items": self.ended}).encode()
        if not path.startswith("/gw/refresh"):
            return (), b"iam"
        if self.mood == "gone":
            names = ("session", "fresh", "ref")
            return ["x-banyan-gone: 1", *(f"Set-Cookie: banyan_{name}=; Path=/; Max-Age=0" for name in names)], b""
        token = self.token(life=3601)
        cookies = [f"Set-Cookie: banyan_session={token}; Path=/", "Set-Cookie: banyan_fresh=1; Path=/; Max-Age=300"]
        return [f"x-banyan-token: {token}", *cookies], b""


@dataclass(slots=True)
class People:
    door: Front
    iam: Iam
    trust: Trust

    async def who(self, path: str, *headers: str, method: str = "GET") -> str:
        """Who the upstream behind the path was told is asking; "" for nobody."""
        answer = await self.door.get(path, *headers, method=method)
        assert answer.status == 200, answer.raw
        return asker(self.door.upstreams[answer.body.decode()].last)


def asker(request: Received) -> str:
    (user,) = request.values(b"x-banyan-user") or [b""]
    given = [len(request.values(name)) for name in (b"x-banyan-user", b"x-banyan-roles", b"x-banyan-session")]
    assert given in ([0, 0, 0], [1, 1, 1]), request.head
    return user.decode()


def set_cookies(values: Sequence[str]) -> dict[str, str]:
    """What a browser makes of Set-Cookie headers, the last of a name counting."""
    kept = SimpleCookie()
    for value in values:
        kept.load(value)
    return {name: morsel.value for name, morsel in kept.items()}


@contextlib.asynccontextmanager
async def people(*, iam: Iam | None = None, kept: bool = True, **variables: str) -> AsyncIterator[People]:
    """Envoy before an iam that signs; with `kept` the control plane's job looks after keys and ended sessions."""
    found = iam or Iam()
    async with front(iam=found.talk, **{"legacy": "demo", **variables}) as door:
        trust = Trust(door.settings)
        job = asyncio.create_task(jobs.keep_trust(trust)) if kept else None
        try:
            yield People(door, found, trust)
        finally:
            if job is not None:
                job.cancel()
                await asyncio.gather(job, return_exceptions=True)
            await trust.close()
