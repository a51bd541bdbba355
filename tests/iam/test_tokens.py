"""Forged tokens. Whatever stands before a service, it believes only what iam signed, for whom, and until when."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from fastapi import APIRouter, Depends, FastAPI, Request
from joserfc import jwt
from joserfc.jwk import ECKey

from banyan.contracts.identity import AUDIENCE, ISSUER, Permission, Role
from banyan.infra import http, identity
from banyan.infra.identity import Caller, Verifier
from banyan.infra.settings import Settings

SUB = "01a20ccf-a37d-79fb-a85a-4e425fb6420e"
SID = "01a20ccf-a3a4-77f6-9db2-8b4f17aa0e00"

OURS = ECKey.generate_key("P-256")
FOREIGN = ECKey.generate_key("P-256")


class OneKey:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def find(self, kid: str) -> ECKey | None:
        self.asked.append(kid)
        return OURS if kid == "ours" else None


def claims(**changed: object) -> dict[str, Any]:
    now = int(time.time())
    made: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": SUB,
        "sid": SID,
        "name": "김하늘",
        "roles": "learner",
        "locale": "ko",
        "iat": now,
        "exp": now + 60,
    }
    made.update(changed)
    return {name: value for name, value in made.items() if value is not None}


def signed(key: ECKey = OURS, header: dict[str, Any] | None = None, **changed: object) -> str:
    return jwt.encode({"alg": "ES256", "kid": "ours", **(header or {})}, claims(**changed), key, algorithms=["ES256"])


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def unsigned(alg: str) -> str:
    return f"{part({'alg': alg, 'kid': 'ours'})}.{part(claims())}."


def hs256_with_public_key() -> str:
    """By hand: no library that is any good makes this."""
    text = f"{part({'alg': 'HS256', 'kid': 'ours'})}.{part(claims())}"
    mac = hmac.digest(OURS.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def critical() -> str:
    """Rightly signed, but with a header that demands what we do not know."""
    text = f"{part({'alg': 'ES256', 'kid': 'ours', 'crit': ['b64'], 'b64': False})}.{part(claims())}"
    r, s = decode_dss_signature(OURS.get_op_key("sign").sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{text}.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}"


def tampered() -> str:
    header, _, signature = signed().split(".")
    return f"{header}.{part(claims(roles='operator'))}.{signature}"


def with_key_inside() -> str:
    return signed(FOREIGN, {"jwk": FOREIGN.as_dict(private=False)})


FORGED: dict[str, Callable[[], str]] = {
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("None"),
    "alg ES256 without a signature": lambda: unsigned("ES256"),
    "HS256 with the public key": hs256_with_public_key,
    "a foreign key": lambda: signed(FOREIGN),
    "a foreign key in jwk": with_key_inside,
    "a foreign key at jku": lambda: signed(FOREIGN, {"jku": "https://evil.example/keys"}),
    "kid of a file": lambda: signed(header={"kid": "../../../../dev/null"}),
    "kid with SQL": lambda: signed(header={"kid": "ours' OR '1'='1"}),
    "kid that is no text": lambda: f"{part({'alg': 'ES256', 'kid': ['ours']})}." + signed().split(".", 1)[1],
    "no kid": lambda: f"{part({'alg': 'ES256'})}." + signed().split(".", 1)[1],
    "other roles": tampered,
    "another audience": lambda: signed(aud="somebody-else"),
    "audiences": lambda: signed(aud=[AUDIENCE, "other"]),
    "another issuer": lambda: signed(iss="https://evil.example"),
    "expired": lambda: signed(exp=int(time.time()) - 6),
    "without an end": lambda: signed(exp=None),
    "an end that is no number": lambda: signed(exp="9999999999"),
    "a true end": lambda: signed(exp=True),
    "no session": lambda: signed(sid=None),
    "a session that is no id": lambda: signed(sid="*"),
    "a subject that is no id": lambda: signed(sub="1 OR 1=1"),
    "an object as roles": lambda: signed(roles={"operator": True}),
    "unknown critical header": critical,
    "four parts": lambda: signed() + ".x",
    "nothing": lambda: "",
    "rubbish": lambda: "x.y.z",
    "huge": lambda: "a" * 5000 + ".b.c",
    "deep": lambda: base64.urlsafe_b64encode(b"[" * 2000).decode() + ".b.c",
}


@pytest.mark.parametrize("forgery", FORGED)
async def test_a_forged_token_is_nobodys(forgery: str, tmp_path: Any) -> None:
    verifier = Verifier(OneKey(), settings(tmp_path))

    for _ in range(2):  # the second time from what is remembered
        assert await verifier.verify(made := FORGED[forgery]()) is None, made


async def test_a_true_token_tells_who_asks(tmp_path: Any) -> None:
    verifier = Verifier(OneKey(), settings(tmp_path))

    found = await verifier.verify(signed(roles="learner,operator,king"))

    assert found is not None
    assert (found.account_id, found.session_id, found.name, found.locale) == (SUB, SID, "김하늘", "ko")
    assert found.roles == {Role.LEARNER, Role.OPERATOR}
    assert found.may(Permission.OPERATE)


async def test_a_remembered_token_is_not_verified_twice_and_ends_in_time(tmp_path: Any) -> None:
    keys, now = OneKey(), time.time()
    clock = [now]
    verifier = Verifier(keys, settings(tmp_path), clock=lambda: clock[0])
    token = signed(exp=int(now) + 10)

    assert await verifier.verify(token) is not None
    assert await verifier.verify(token) is not None
    assert keys.asked == ["ours"]
    clock[0] = now + 16
    assert await verifier.verify(token) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer {token}", "x-banyan-session": SID}, 200),
        ({"x-banyan-token": "{token}", "x-banyan-session": SID}, 200),
        ({"cookie": "banyan_session={token}", "x-banyan-session": SID}, 200),
        ({"authorization": "bearer {token}", "x-banyan-session": SID}, 200),
        ({"authorization": "Bearer {token}"}, 401),  # Envoy took the session away: it was revoked
        ({"cookie": "banyan_session={token}"}, 401),
        ({"authorization": "Bearer {token}", "x-banyan-session": SUB}, 401),
        ({"authorization": "Bearer x.y.z", "cookie": "banyan_session={token}", "x-banyan-session": SID}, 401),
        ({"authorization": "Basic {token}", "x-banyan-session": SID}, 401),
        ({"x-banyan-session": SID, "x-banyan-user": SUB, "x-banyan-roles": "operator"}, 401),
        ({}, 401),
    ],
)
async def test_token_and_session_must_agree(headers: dict[str, str], status: int, tmp_path: Any) -> None:
    sent = {name: value.format(token=signed()) for name, value in headers.items()}

    assert (await asked(tmp_path, "GET", sent)).status_code == status


async def test_a_session_named_twice_is_nobodys(tmp_path: Any) -> None:
    headers = [("authorization", f"Bearer {signed()}"), ("x-banyan-session", SID), ("x-banyan-session", SID)]

    assert (await asked(tmp_path, "GET", headers)).status_code == 401


async def test_what_a_role_was_not_given_is_denied(tmp_path: Any) -> None:
    for role, status in ((Role.LEARNER, 403), (Role.ADMIN, 403), (Role.OPERATOR, 200), ("king", 403), ("", 403)):
        headers = {"authorization": f"Bearer {signed(roles=str(role))}", "x-banyan-session": SID}
        assert (await asked(tmp_path, "GET", headers, permission=Permission.OPERATE)).status_code == status


def settings(folder: Any) -> Settings:
    return Settings.read({"BANYAN_DATA": str(folder)})


async def asked(
    folder: Any, method: str, headers: Any, *, permission: Permission = Permission.OWN_ACCOUNT
) -> httpx.Response:
    app = protected(settings(folder), permission)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://learning") as client:
        return await client.request(method, "/thing", headers=headers)


def protected(told: Settings, permission: Permission) -> FastAPI:
    routes = APIRouter()
    who = Depends(identity.required(Verifier(OneKey(), told), permission))

    @routes.api_route("/thing", methods=["GET", "POST"])
    async def thing(request: Request, caller: Caller = who) -> dict[str, str]:
        return {"account": caller.account_id}

    return http.application("test", [routes], settings=told)
