"""What a browser shows and is given: cookies, its address, its name."""

import math
from datetime import UTC, datetime

from fastapi import Request, Response

from banyan.contracts.identity import (
    DEVICE_COOKIE,
    FRESH_COOKIE,
    REFERENCE_COOKIE,
    SESSION_COOKIE,
)
from banyan.iam.domain import Issued, Lifetimes, Visit
from banyan.infra import http
from banyan.infra.pages.reader import reader_of
from banyan.infra.settings import Settings

_LONGEST_AGENT = 300
_LONGEST_SECRET = 100


def now() -> datetime:
    return datetime.now(UTC)


def visit_of(request: Request, settings: Settings) -> Visit:
    return Visit(
        address=http.client_address(request, trusted_hops=settings.trusted_hops)[:45],
        agent=_printable(request.headers.get("user-agent", ""))[:_LONGEST_AGENT],
        device=_secret(request, DEVICE_COOKIE),
        reference=_secret(request, REFERENCE_COOKIE),
        locale=reader_of(request).locale,
    )


class Cookies:
    """`Secure` exactly where browsers come by https; no Domain, so that no other host of the company's gets them."""

    def __init__(self, settings: Settings, lifetimes: Lifetimes) -> None:
        self._secure = settings.url.startswith("https://")
        self._lifetimes = lifetimes

    def give(self, response: Response, issued: Issued) -> None:
        self._set(response, SESSION_COOKIE, issued.token, self._lifetimes.token.total_seconds())
        self._set(response, FRESH_COOKIE, "1", self._lifetimes.fresh.total_seconds())
        if issued.reference is not None:
            self._set(response, REFERENCE_COOKIE, issued.reference, self._lifetimes.session.total_seconds())
        if issued.device is not None:
            self._set(response, DEVICE_COOKIE, issued.device, self._lifetimes.device.total_seconds())

    def take(self, response: Response) -> None:
        """The device stays known: signing out is no reason to lock somebody out."""
        for name in (SESSION_COOKIE, FRESH_COOKIE, REFERENCE_COOKIE):
            self._set(response, name, "", 0)

    def _set(self, response: Response, name: str, value: str, seconds: float) -> None:
        response.set_cookie(
            name, value, max_age=math.ceil(seconds), path="/", secure=self._secure, httponly=True, samesite="lax"
        )


def _secret(request: Request, name: str) -> str | None:
    value = request.cookies.get(name)
    return value if value and len(value) <= _LONGEST_SECRET else None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
