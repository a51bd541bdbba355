"""Where a form may lead: only ever to a page of this site."""

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

HOME = "/me"

_LONGEST = 2000
_NOT_A_PLACE = re.compile(r"/(login|logout|signup|reset)([/?#]|$)|/_banyan/api/")
_ENDS_ELSEWHERE = re.compile(r"[/\\]{2}|\\|[\x00-\x20\x7f]|(^|/)\.\.?(/|[?#]|$)")


def same_site(address: str, *, otherwise: str = HOME) -> str:
    """The address if it is a path of this site, spelled so that nothing on the way reads it as another site."""
    if not address.startswith("/") or len(address) > _LONGEST or _NOT_A_PLACE.match(address):
        return otherwise
    # A proxy may decode once, a careless one twice; whatever comes out must still stay here. Queries may hold anything.
    path = address.split("?", 1)[0].split("#", 1)[0]
    for reading in (path, unquote(path), unquote(unquote(path))):
        if _ENDS_ELSEWHERE.search(reading) or _NOT_A_PLACE.match(reading):
            return otherwise
    if re.search(r"[\\\x00-\x20\x7f]", address):
        return otherwise
    return quote(address, safe="/?#&=%.-_~:,;+@!$'()*[]")


def origin_path(referer: str, site: str) -> str:
    """The path of a page of `site` that led here; empty for any other."""
    parts = urlsplit(referer) if len(referer) <= _LONGEST else urlsplit("")
    if f"{parts.scheme}://{parts.netloc}" != site:
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")


def with_query(address: str, **more: str) -> str:
    """The address with these values in its query; empty ones are left out."""
    path, _, query = address.partition("?")
    pairs = [pair for pair in parse_qsl(query) if pair[0] not in more]
    pairs += [(name, value) for name, value in more.items() if value]
    return f"{path}?{urlencode(pairs)}" if pairs else path
