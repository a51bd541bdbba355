"""Who may use the console before identity exists: whoever sits at this machine, in the demo, and no other site's page.

A page of another site can make the operator's browser call 127.0.0.1, by a name of its own that it points there (so
the Host is checked) or by a form (so the Origin of every write is checked).
"""

from urllib.parse import urlsplit

from fastapi import Request

from banyan.infra.settings import Settings, is_loopback
from banyan.kit.errors import Forbidden


class ConsoleClosed(Forbidden):
    """The console is open in the demo and on this machine only, until Banyan has accounts that can open it."""


class ForeignPage(Forbidden):
    """This change did not come from the console's own page, so it was not made. Open the console and try again."""


def check_reader(request: Request, settings: Settings) -> None:
    """Raises ConsoleClosed unless this is the demo, and the browser is on this machine and means this machine."""
    if not (settings.demo and is_loopback(_host(request)) and is_loopback(_peer(request))):
        raise ConsoleClosed


def check_writer(request: Request) -> None:
    """Raises ForeignPage unless the browser says that our own page sent this."""
    origin = request.headers.get("origin")
    if origin is None:
        if request.headers.get("sec-fetch-site") != "same-origin":
            raise ForeignPage
        return
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != request.headers.get("host", "").lower():
        raise ForeignPage


def _host(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def _peer(request: Request) -> str:
    """The client's address as Envoy saw it: Envoy writes the last one of the list, whatever the client sent before.

    Without the header nothing stands between: it came over the owner-only socket.
    """
    forwarded = request.headers.getlist("x-forwarded-for")
    return forwarded[-1].rsplit(",", 1)[-1].strip() if forwarded else "127.0.0.1"
