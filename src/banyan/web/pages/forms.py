"""Forms: what was typed, and whether it came from a page of ours.

Browsers say where a form comes from (`Origin`, `Sec-Fetch-Site`), and then that alone decides. For those that say
nothing every form carries a proof: a signature over the session, or over a cookie of somebody who is not signed in.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie

from fastapi import Request

from banyan.infra import identity
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.web.pages.visitors import caller_of

COOKIE = "banyan_form"
FIELD = "proof"

_MOST_FIELDS = 20
_NONCE = re.compile(r"[\w-]{20,64}")


@dataclass(frozen=True, slots=True)
class Typed:
    """A form as it was sent; `ours` is False where a page of another site may have sent it."""

    ours: bool
    fields: Mapping[str, str] = field(repr=False)  # passwords are among them

    def text(self, *names: str) -> str:
        """The first of these fields that has something in it, without blanks around."""
        return next((value for name in names if (value := self.fields.get(name, "").strip())), "")

    def secret(self, *names: str) -> str:
        """As it was typed: blanks may belong to a password."""
        return next((value for name in names if (value := self.fields.get(name, ""))), "")


class Forms:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = secret(settings.secrets, "web-forms").encode()

    async def read(self, request: Request) -> Typed:
        async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
        return Typed(self._is_ours(request, fields.get(FIELD, "")), fields)

    def proof(self, request: Request) -> str:
        """For the hidden field of a form on the page that is being made."""
        caller = caller_of(request)
        if caller is not None:
            return self._sign("session", caller.session_id)
        nonce = request.cookies.get(COOKIE, "")
        if not _NONCE.fullmatch(nonce):
            nonce = getattr(request.state, "nonce", "") or self._hand_out(request)
        return self._sign("visitor", nonce)

    def _is_ours(self, request: Request, proof: str) -> bool:
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            try:
                identity.same_origin(request, self._settings)
            except identity.ForeignPage:
                return False
            return True
        caller, nonce = caller_of(request), request.cookies.get(COOKIE, "")
        accepted = [self._sign("session", caller.session_id)] if caller is not None else []
        if _NONCE.fullmatch(nonce):
            accepted.append(self._sign("visitor", nonce))
        return any(hmac.compare_digest(proof.encode(), one.encode()) for one in accepted)

    def _hand_out(self, request: Request) -> str:
        nonce: str = secrets.token_urlsafe(18)
        request.state.nonce = nonce
        cookie: SimpleCookie = SimpleCookie({COOKIE: nonce})
        cookie[COOKIE]["path"] = "/"
        cookie[COOKIE]["samesite"] = "Lax"
        cookie[COOKIE]["httponly"] = True
        if self._settings.url.startswith("https:"):
            cookie[COOKIE]["secure"] = True
        request.state.cookies.append(cookie[COOKIE].OutputString())
        return nonce

    def _sign(self, kind: str, text: str) -> str:
        return hmac.new(self._key, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()
