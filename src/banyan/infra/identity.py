"""Who is asking: the token is verified here again, whatever stands before, and permissions are denied by default."""

import asyncio
import base64
import binascii
import json
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog
from fastapi import Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from banyan.contracts import iam as wire
from banyan.contracts import identity
from banyan.contracts.identity import Permission, Role
from banyan.infra.http_client import HttpClient, ServiceAway, ServiceRefused
from banyan.infra.settings import Settings
from banyan.kit.errors import Forbidden, Refusal

log = structlog.get_logger()

ALGORITHM = "ES256"
_LONGEST_TOKEN = 4096
_CACHED = 4096
_KEYS_FILE = "identity-keys.json"
_KEYS_PATH = "/internal/keys"
_KEYS_TIMEOUT = 1.0
_KEYS_AGE = 300.0  # a key that iam no longer vouches for is forgotten after this long
_KEYS_PAUSE = 1.0  # strangers can invent key ids, so they cannot make us ask more often than this
_ROLES = frozenset(role.value for role in Role)
_SAFE = ("GET", "HEAD", "OPTIONS")


class SignedOut(Refusal):
    """Nobody is signed in here. Sign in and try again."""

    status = 401


class NotPermitted(Forbidden):
    """Your account may not do this."""


class ForeignPage(Forbidden):
    """This change did not come from a page of this site, so it was not made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The account that asks. `token` is what a service forwards when it calls another one for this account."""

    account_id: str
    session_id: str
    name: str
    roles: frozenset[Role]
    locale: str
    token: str

    def may(self, permission: Permission) -> bool:
        return any(permission in identity.GRANTS.get(role, frozenset()) for role in self.roles)


class Keys(Protocol):
    """Where public keys come from: iam over the private listener, or iam's own database."""

    async def find(self, kid: str) -> ECKey | None: ...


class Verifier:
    """Verifies tokens and knows who asks. Verified ones are remembered until they end."""

    def __init__(self, keys: Keys, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock
        self._skew = settings.clock_skew
        self._verified: OrderedDict[str, tuple[float, Caller]] = OrderedDict()
        self.settings = settings

    async def caller(self, request: Request) -> Caller | None:
        """Who asks; None for everybody whose token and whose session, as Envoy saw it, do not agree."""
        token = _token(request)
        if token is None:
            return None
        found = await self.verify(token)
        # Envoy sets this after the filter of revoked sessions; without it a revoked token would live on here.
        if found is None or request.headers.getlist(identity.SESSION_HEADER) != [found.session_id]:
            return None
        return found

    async def verify(self, token: str) -> Caller | None:
        """The caller that iam vouches for in this token; None for any token that is not wholly right."""
        now = self._clock()
        known = self._verified.get(token)
        if known is not None:
            if now < known[0]:
                self._verified.move_to_end(token)
                return known[1]
            del self._verified[token]
            return None
        kid = _key_id(token)
        key = await self._keys.find(kid) if kid is not None else None
        if key is None:
            return None
        try:
            claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError):
            return None
        accepted = _accepted(claims, token, now=now, skew=self._skew)
        if accepted is None:
            return None
        self._verified[token] = accepted
        if len(self._verified) > _CACHED:
            self._verified.popitem(last=False)
        return accepted[1]


def caller(verifier: Verifier) -> Callable[[Request], Awaitable[Caller | None]]:
    """A FastAPI dependency: who asks, or None. A signed-in browser's write must come from our own page."""

    async def dependency(request: Request) -> Caller | None:
        found = await verifier.caller(request)
        if found is not None and request.method not in _SAFE:
            same_origin(request, verifier.settings)
        return found

    return dependency


def required(verifier: Verifier, permission: Permission) -> Callable[[Request], Awaitable[Caller]]:
    """A FastAPI dependency: who asks. Raises SignedOut, NotPermitted, and ForeignPage for another site's write."""

    async def dependency(request: Request) -> Caller:
        found = await verifier.caller(request)
        if found is None:
            raise SignedOut
        if request.method not in _SAFE:
            same_origin(request, verifier.settings)
        if not found.may(permission):
            raise NotPermitted
        return found

    return dependency


def same_origin(request: Request, settings: Settings) -> None:
    """Raises ForeignPage for a write that another site's page may have made a browser send.

    A bearer token is nothing that a browser sends by itself; nor is a request without cookies and without the
    headers that every browser adds.
    """
    if _bearer(request) is not None:
        return
    origin = request.headers.get("origin")
    if origin is not None:
        parts = urlsplit(origin)
        own = (settings.url, f"{parts.scheme}://{request.headers.get('host', '')}")
        if parts.scheme not in ("http", "https") or origin.lower() not in [one.lower() for one in own]:
            raise ForeignPage
        return
    site = request.headers.get("sec-fetch-site")
    if site == "same-origin" or (site is None and "cookie" not in request.headers):
        return
    raise ForeignPage


class IamKeys:
    """iam's public keys, asked for over the private listener; the last known ones outlive iam and our own restart."""

    def __init__(self, settings: Settings) -> None:
        self._http = HttpClient(settings.run / "internal.sock", "iam", timeout=_KEYS_TIMEOUT, limit=2)
        self._file = settings.run / _KEYS_FILE
        self._keys: dict[str, ECKey] = {}
        self._asked_at = float("-inf")
        self._fetched_at = float("-inf")
        self._asking = asyncio.Lock()

    async def find(self, kid: str) -> ECKey | None:
        if not self._keys:
            self._keys = _read(self._file)
        if kid not in self._keys or time.monotonic() > self._fetched_at + _KEYS_AGE:
            await self._refresh()
        return self._keys.get(kid)

    async def close(self) -> None:
        await self._http.close()

    async def _refresh(self) -> None:
        asked_for_at = time.monotonic()
        async with self._asking:
            if self._asked_at >= asked_for_at or asked_for_at < self._asked_at + _KEYS_PAUSE:
                return
            try:
                answer = await self._http.get(_KEYS_PATH, wire.Keys)
                keys = public_keys(answer.jwks)
            except (ServiceAway, ServiceRefused, JoseError, ValueError) as fault:
                log.warning("iam's keys cannot be had; the last known ones count", reason=repr(fault))
                self._keys |= _read(self._file)
                return
            finally:
                self._asked_at = time.monotonic()
            self._keys, self._fetched_at = keys, time.monotonic()
            _write(self._file, answer.jwks)


def remember_keys(settings: Settings, jwks: str) -> None:
    """Keep iam's key set for every process of this data folder, so that one that has never asked knows it, too, when
    iam is away."""
    _write(settings.run / _KEYS_FILE, jwks)


def public_keys(jwks: str) -> dict[str, ECKey]:
    """The ES256 keys of a key set by their ids. Raises JoseError, ValueError."""
    keys = KeySet.import_key_set(json.loads(jwks)).keys
    return {key.kid: key for key in keys if isinstance(key, ECKey) and key.kid and key.curve_name == "P-256"}


def _token(request: Request) -> str | None:
    bearer = _bearer(request)
    if bearer is not None:
        return bearer
    return request.headers.get(identity.TOKEN_HEADER) or request.cookies.get(identity.SESSION_COOKIE)


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _key_id(token: str) -> str | None:
    """The one thing that is read of a token before its signature holds: under which of *our* keys to look."""
    if len(token) > _LONGEST_TOKEN or token.count(".") != 2:
        return None
    encoded = token.split(".", 1)[0]
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, binascii.Error, msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(header, dict) or header.get("alg") != ALGORITHM:
        return None
    kid = header.get("kid")
    return kid if isinstance(kid, str) and len(kid) <= 100 else None


def _accepted(claims: dict[str, object], token: str, *, now: float, skew: float) -> tuple[float, Caller] | None:
    match claims:
        case {
            "iss": identity.ISSUER,
            "aud": identity.AUDIENCE,
            "exp": int() as exp,
            "sub": str() as subject,
            "sid": str() as session,
            "name": str() as name,
            "roles": str() as roles,
            "locale": str() as locale,
        } if now < exp + skew and _is_uuid(subject) and _is_uuid(session):
            known = frozenset(Role(role) for role in roles.split(",") if role in _ROLES)
            found = Caller(account_id=subject, session_id=session, name=name, roles=known, locale=locale, token=token)
            return exp + skew, found
    return None


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _read(path: Path) -> dict[str, ECKey]:
    try:
        return public_keys(path.read_text())
    except (OSError, JoseError, ValueError):
        return {}


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        if not path.exists() or path.read_text() != text:
            draft.write_text(text)
            draft.replace(path)
    except OSError as fault:
        log.warning("iam's keys cannot be kept for the next start", reason=repr(fault))
