"""`/_banyan/mail`: in the demo, where mail would have gone. For whoever sits at this machine."""

import html
import re
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from banyan.infra.mail import Mail, Mailbox
from banyan.infra.settings import is_loopback
from banyan.kit.errors import NotFound

_LINK = re.compile(r"https?://[^\s<>&\"']+")
_STYLE = (
    "body{font:16px/1.6 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c2a22;background:#f7f8f5}"
    "article{background:#fff;border:1px solid #dde3dc;border-radius:12px;padding:1rem 1.25rem;margin:1rem 0}"
    "h2{font-size:1.05rem;margin:0}p{margin:.2rem 0;color:#55635a}"
    "pre{font:inherit;white-space:pre-wrap;overflow-wrap:anywhere;margin:.75rem 0 0}"
)
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class NoMailbox(NotFound):
    """There is no mailbox here."""


def router(mailbox: Mailbox) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/_banyan/mail")
    async def mails(request: Request) -> Response:
        if not (is_loopback(_host(request)) and is_loopback(_peer(request))):
            raise NoMailbox
        articles = "".join(map(_article, mailbox.newest())) or "<p>No mail yet · 아직 메일이 없어요</p>"
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>Mail · 메일</title><style>{_STYLE}</style><h1>Mail · 메일</h1>{articles}</html>"
        )
        return Response(page, headers=_HEADERS, media_type="text/html; charset=utf-8")

    return routes


def _article(mail: Mail) -> str:
    body = _LINK.sub(lambda found: f'<a href="{found[0]}">{found[0]}</a>', html.escape(mail.body, quote=False))
    return (
        f"<article><h2>{html.escape(mail.subject)}</h2><p>{html.escape(mail.recipient)} · "
        f"<time>{mail.at:%Y-%m-%d %H:%M:%S} UTC</time></p><pre>{body}</pre></article>"
    )


def _host(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _peer(request: Request) -> str:
    """The last one of the list is Envoy's; without the header it came over the owner-only socket."""
    forwarded = request.headers.getlist("x-forwarded-for")
    return forwarded[-1].rsplit(",", 1)[-1].strip() if forwarded else "127.0.0.1"
