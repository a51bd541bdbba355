"""A running WordPress does not look different because Banyan stands before it: bytes, headers and redirects."""

import re
import time
from urllib.parse import quote

import httpx
import pytest

from . import exchange
from .exchange import Answer, Request
from .front_door import FrontDoor
from .wordpress import WordPress

pytestmark = pytest.mark.xdist_group("wordpress")

GZIP = {"Accept-Encoding": "gzip"}
CSS = "/wp-includes/css/dist/block-library/style.min.css"
PNG = "/wp-includes/images/rss-2x.png"

ANONYMOUS = [
    Request("/"),
    Request("/", method="HEAD"),
    Request("/", headers=GZIP),
    Request("/", headers={"Accept-Language": "ko", "Cookie": "visited=1; theme=dark"}),
    Request("/sample-page/"),
    Request("/?s=hello+%EA%B0%95%EC%9D%98"),
    Request("/?cat=1&paged=1"),
    Request("/category/uncategorized/"),
    Request("/author/operator/"),
    Request("/feed/"),
    Request("/comments/feed/"),
    Request("/wp-sitemap.xml"),
    Request("/robots.txt"),
    Request("/no-such-page/"),
    Request("/%EC%97%86%EB%8A%94-%EA%B0%95%EC%9D%98/"),
    Request("/wp-login.php"),
    Request("/wp-login.php?action=lostpassword"),
    Request("/wp-json/"),
    Request("/wp-json/wp/v2/posts?_embed=1"),
    Request("/wp-json/wp/v2/users/me"),
    Request("/wp-json/wp/v2/posts", method="OPTIONS", headers={"Origin": "http://elsewhere.test"}),
    Request(
        "/xmlrpc.php",
        method="POST",
        headers={"Content-Type": "text/xml"},
        body=b"<methodCall><methodName>demo.sayHello</methodName></methodCall>",
    ),
    Request(
        "/wp-comments-post.php",
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=b"comment_post_ID=1",
    ),
    Request(CSS),
    Request(CSS, headers=GZIP),
    Request(CSS, method="HEAD"),
    Request(PNG),
    Request(PNG, headers={"Range": "bytes=10-99"}),
    Request(PNG, headers={"If-Modified-Since": "Wed, 25 Nov 2099 00:00:00 GMT"}),
    Request("/wp-includes/"),
    Request("/wp-includes/css/../css/dashicons.css"),
    Request("//sample-page//"),
    Request("/sample-page/?a=%2F&b=%00&c=%ff&b=2"),
]
ADMIN = [
    Request("/wp-admin/"),
    Request("/wp-admin/edit.php"),
    Request("/wp-admin/users.php"),
    Request("/wp-admin/options-general.php"),
    Request("/wp-admin/no-such-page.php"),
    Request("/wp-admin/admin-ajax.php?action=heartbeat"),
]

# WordPress tells the time: in each Date header, and to a signed-in operator in these places. Found by asking it twice,
# a second apart; `_compared` does that again and reports whatever else two direct answers differ in.
CLOCK = re.compile(
    rb"""(?<="time":")\d{10}(?=","secure")"""
    rb"""|(?<=wp-settings-time-1=)\d{10}; expires=[^;]+"""
    rb"""|(?<=Universal time is <code>)[\d: -]{19}(?=</code>)"""
)
# Headers of one message or connection, not of the page; and what the gateway adds.
OF_THE_MESSAGE = {"date", "connection", "keep-alive", "transfer-encoding"}
OF_THE_GATEWAY = {"x-banyan-side", "x-request-id"}


def test_anonymous_pages_are_the_same_bytes_through_banyan(old_site: WordPress, door: FrontDoor) -> None:
    assert _compared(ANONYMOUS, old_site, door) == []


def test_pages_of_a_signed_in_operator_are_the_same_bytes_through_banyan(old_site: WordPress, door: FrontDoor) -> None:
    cookie = {"Cookie": _signed_in(old_site, door)}

    dashboard = exchange.send(Request("/wp-admin/", headers=cookie), to=door.address, host=door.host)
    assert b"wp-admin-bar-my-account" in dashboard.body
    signed_in = [Request(request.path, headers=cookie) for request in (Request("/"), *ADMIN)]
    assert _compared(signed_in, old_site, door) == []


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/wp-admin", "/wp-admin/"),
        ("/wp-admin/", "PUBLIC/wp-login.php?redirect_to=QUOTED%2Fwp-admin%2F&reauth=1"),
        ("/?p=1", "PUBLIC/DATE/hello-world/"),
        ("/hello-world", "PUBLIC/DATE/hello-world/"),
        ("/sample-page", "PUBLIC/sample-page/"),
        ("/sample-page?x=1", "PUBLIC/sample-page/?x=1"),
        ("/login", "PUBLIC/wp-login.php"),
        ("/admin", "PUBLIC/wp-admin/"),
    ],
)
def test_a_redirect_leads_to_the_public_host_and_port(door: FrontDoor, path: str, location: str) -> None:
    answer = exchange.send(Request(path), to=door.address, host=door.host)

    found = (answer.header("location") or "").replace(door.url, "PUBLIC").replace(quote(door.url, safe=""), "QUOTED")
    assert answer.status in (301, 302)
    assert re.sub(r"\d{4}/\d\d/\d\d", "DATE", found) == location


def _signed_in(old_site: WordPress, door: FrontDoor) -> str:
    """The Cookie header of somebody who filled in the log-in form."""
    with httpx.Client(base_url=door.url, timeout=30) as client:
        client.get("/wp-login.php")
        form = {
            "log": old_site.user,
            "pwd": old_site.password,
            "redirect_to": f"{door.url}/wp-admin/",
            "testcookie": "1",
        }
        answer = client.post("/wp-login.php", data=form)
        assert (answer.status_code, answer.headers["location"]) == (302, f"{door.url}/wp-admin/")
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar)


def _compared(requests: list[Request], old_site: WordPress, door: FrontDoor) -> list[str]:
    """What differs through Banyan from WordPress asked directly with the same Host.

    WordPress is asked before and after, more than a second apart, so that nothing passes because it varies by itself.
    """
    direct = ("127.0.0.1", old_site.port)
    before = [exchange.send(request, to=direct, host=door.host) for request in requests]
    through = [exchange.send(request, to=door.address, host=door.host) for request in requests]
    time.sleep(1.1)
    after = [exchange.send(request, to=direct, host=door.host) for request in requests]

    found = []
    for request, first, gateway, second in zip(requests, before, through, after, strict=True):
        name = f"{request.method} {request.path}"
        found += [f"{name}: WordPress itself varies: {line}" for line in _differences(first, second)]
        found += [f"{name}: through Banyan: {line}" for line in _differences(first, gateway)]
        found += [] if gateway.header("x-banyan-side") == "old" else [f"{name}: not from the old side"]
    return found


def _differences(expected: Answer, found: Answer) -> list[str]:
    lines = []
    if expected.status != found.status:
        lines.append(f"status {expected.status} became {found.status}")
    if _headers(expected) != _headers(found):
        lines.append(f"headers {_headers(expected)} became {_headers(found)}")
    body, other = CLOCK.sub(b"", expected.body), CLOCK.sub(b"", found.body)
    if body != other:
        at = next((i for i, (a, b) in enumerate(zip(body, other, strict=False)) if a != b), min(len(body), len(other)))
        lines.append(f"body at {at}: {body[at - 40 : at + 40]!r} became {other[at - 40 : at + 40]!r}")
    return lines


def _headers(answer: Answer) -> list[tuple[str, str]]:
    """Headers by name, without those that say nothing about the page; the order within one name stays."""
    kept = [
        (name, CLOCK.sub(b"", value.encode("latin-1")).decode("latin-1"))
        for name, value in answer.headers
        if name.lower() not in OF_THE_MESSAGE | OF_THE_GATEWAY
    ]
    return sorted(kept, key=lambda pair: pair[0])
