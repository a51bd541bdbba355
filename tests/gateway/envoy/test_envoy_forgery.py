"""Whoever has no token of iam's is nobody, at both sides and on both listeners, however the token comes."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.gateway.envoy.fronts import exchange
from tests.gateway.envoy.people import SUZY, Iam, People, asker, new_key, people
from tests.gateway.envoy.upstreams import Received

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd() -> AsyncIterator[People]:
    async with people() as running:
        yield running


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, object]:
    text = token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def unsigned(iam: Iam, alg: str) -> str:
    return f"{part({'alg': alg, 'typ': 'JWT', 'kid': iam.keys[0].kid})}.{part(claims_of(iam.token()))}."


def confused(iam: Iam) -> str:
    """Signed by HMAC with the public key, which everybody has."""
    body = f"{part({'alg': 'HS256', 'kid': iam.keys[0].kid})}.{part(claims_of(iam.token()))}"
    mac = hmac.new(iam.keys[0].as_pem(private=False), body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def foreign(iam: Iam) -> str:
    """Another's key under the name of ours."""
    stranger = new_key()
    named = ECKey.import_key({**stranger.as_dict(private=True), "kid": iam.keys[0].kid})
    return iam.token(key=named)


def embedded(iam: Iam) -> str:
    """A token that brings its own key along."""
    key = new_key()
    header = {"alg": "ES256", "jwk": key.as_dict(private=False), "jku": "http://127.0.0.1/jwks", "kid": "../../keys"}
    return jwt.encode(header, claims_of(iam.token()), key, algorithms=["ES256"])


def tampered(iam: Iam) -> str:
    head, _, signature = iam.token().split(".")
    return f"{head}.{part({**claims_of(iam.token()), 'roles': 'operator'})}.{signature}"


FORGERIES: dict[str, Callable[[Iam], str]] = {
    "alg none": lambda iam: unsigned(iam, "none"),
    "alg None": lambda iam: unsigned(iam, "nOnE"),
    "alg empty": lambda iam: unsigned(iam, ""),
    "no signature": lambda iam: iam.token().rsplit(".", 1)[0] + ".",
    "no third part": lambda iam: iam.token().rsplit(".", 1)[0],
    "zero signature": lambda iam: iam.token().rsplit(".", 1)[0] + "." + "A" * 86,
    "confusion": confused,
    "foreign key": foreign,
    "unknown key": lambda iam: iam.token(key=new_key()),
    "embedded key": embedded,
    "tampered": tampered,
    "wrong audience": lambda iam: iam.token(aud="other"),
    "no audience": lambda iam: iam.token(aud=""),
    "wrong issuer": lambda iam: iam.token(iss="banyan-iam2"),
    "expired": lambda iam: iam.token(life=-6),
    "not yet": lambda iam: iam.token(nbf=4_000_000_000),
    "nonsense": lambda iam: "a.b.c",
    "empty": lambda iam: "",
    "two": lambda iam: f"{iam.token()},{iam.token()}",
    "huge": lambda iam: "A" * 8000 + ".A.A",
}


async def privately(crowd: People, *headers: str) -> Received:
    reader, writer = await asyncio.open_unix_connection(crowd.door.settings.run / "internal.sock")
    await exchange(reader, writer, "\r\n".join(["GET / HTTP/1.1", "Host: learning", *headers, "", ""]).encode())
    return crowd.door.upstreams["learning"].last


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_a_forged_token_is_nobodys(crowd: People, forgery: str) -> None:
    token = FORGERIES[forgery](crowd.iam)
    for given in (f"Cookie: banyan_session={token}; banyan_fresh=1", f"Authorization: Bearer {token}"):
        for path in ("/old", "/courses", "/_banyan/console", "//guarded"):
            assert await crowd.who(path, given) == "", path
        assert asker(await privately(crowd, given)) == ""


async def test_a_true_token_is_somebodys_by_the_same_ways(crowd: People) -> None:
    """Else the test above would prove nothing."""
    for token in (crowd.iam.token(), crowd.iam.token(life=-2)):
        for given in (f"Cookie: banyan_session={token}; banyan_fresh=1", f"Authorization: Bearer {token}"):
            for path in ("/old", "/courses", "/_banyan/console", "//guarded"):
                assert await crowd.who(path, given) == SUZY, path
            assert asker(await privately(crowd, given)) == SUZY


SPELLINGS = [
    *("x-banyan-user", "X-Banyan-Roles", "x_banyan_user", "X.Banyan.User", "x-banyan_session", "X_BANYAN-token"),
    *("x-banyan-session", "X-BANYAN-TOKEN", "x-banyan-gone", "x_banyan_gone", "x-banyan", "X-Banyan-Revoked"),
]


@pytest.mark.parametrize("signed_in", [True, False])
async def test_nobody_says_by_a_header_who_he_is(crowd: People, signed_in: bool) -> None:
    forged = [f"{name}: 1" for name in SPELLINGS] + [f"X-Banyan-Token: {crowd.iam.token('forged')}"]
    cookies = [crowd.iam.cookies("session", "fresh", "ref")] if signed_in else []
    who = SUZY if signed_in else ""

    for path in ("/old", "/courses", "/_banyan/console", "//guarded", "/api/v1/me"):
        assert await crowd.who(path, *forged, *cookies) == who
    received = await privately(crowd, *forged, *cookies)
    assert asker(received) == who
    ours = {name.lower(): value for name, value in received.headers if b"banyan" in name.lower()}
    assert set(ours) <= {b"x-banyan-user", b"x-banyan-roles", b"x-banyan-session", b"cookie"}


async def test_a_connection_header_takes_no_identity_away(crowd: People) -> None:
    """Naming a header there asks a proxy to drop it: a session must not be half there."""
    for name in ("x-banyan-user", "x-banyan-session", "x-banyan-roles"):
        assert await crowd.who("/courses", crowd.iam.cookies("session", "fresh"), f"Connection: {name}") == SUZY


async def test_identity_does_not_come_in_as_a_trailer(crowd: People) -> None:
    raw = b"POST /courses HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    trailers = b"x-banyan-user: forged\r\nX_Banyan_Session: forged\r\nx-banyan-token: forged\r\nx-sum: kept\r\n\r\n"
    await crowd.door.send(raw % b"s" + trailers)
    assert b"forged" not in crowd.door.upstreams["web"].last.body
    assert b"kept" in crowd.door.upstreams["web"].last.body

    reader, writer = await asyncio.open_unix_connection(crowd.door.settings.run / "internal.sock")
    await exchange(reader, writer, raw % b"iam" + trailers)
    assert b"forged" not in crowd.door.upstreams["iam"].last.body
