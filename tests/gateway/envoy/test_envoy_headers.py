"""Who may say what about a request, and what stays as it was."""

import pytest

from tests.gateway.envoy.fronts import Front, front
from tests.gateway.envoy.upstreams import Received

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORGED = [
    "x-banyan-user",
    "X-Banyan-User",
    "X-BANYAN-ROLES",
    "x_banyan_user",
    "X_Banyan-Session",
    "X-BANYAN_user",
    "x-banyan_user",
    "X.Banyan.User",
    "x.banyan-user",
    "x-banyan",
    "X_BANYAN",
    "x-banyan-",
    "x-banyan.user",
    "x-banyan-stream",
    "x-banyan-side",
]
NOT_OURS = ["X-Banyanuser", "X-Banyans", "XX-Banyan-User", "X_Old_Header", "x_requested.with", "Banyan-User"]


@pytest.mark.parametrize("path", ["/old", "/courses", "/api/v1/courses", "/_banyan/console", "//guarded"])
async def test_no_spelling_of_our_headers_comes_in(door: Front, path: str) -> None:
    answer = await door.get(path, *(f"{name}: forged" for name in FORGED), *(f"{name}: kept" for name in NOT_OURS))

    received = _last(door, answer.body)
    assert b"forged" not in received.head
    assert {name.lower() for name, value in received.headers if value == b"kept"} == {
        name.lower().encode() for name in NOT_OURS
    }
    assert b"banyan-stream" not in received.head.lower()


async def test_our_headers_do_not_come_in_as_trailers_either(door: Front) -> None:
    await door.send(
        b"POST /old HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\na\r\n0\r\nX-Banyan-User: forged\r\nx_banyan_roles: forged\r\nX-Sum: kept\r\n\r\n"
    )

    assert b"forged" not in door.old.last.body
    assert b"x-sum: kept" in door.old.last.body.lower()


async def test_the_old_site_cannot_say_which_side_answered(door: Front) -> None:
    door.old.answer = (
        b"HTTP/1.1 200 OK\r\nX-Banyan-Side: new\r\nx-banyan-side: gateway\r\nServer: Apache/2.2\r\n"
        b"Date: Thu, 01 Jan 2015 00:00:00 GMT\r\nLocation: http://other.test/a//b\r\nSet-Cookie: a=1; Path=/\r\n"
        b"Set-Cookie: banyan_x=2; Path=/\r\nX-Powered-By: PHP/5.3\r\nX_Under: yes\r\nContent-Length: 2\r\n\r\nok"
    )
    try:
        answer = await door.get("/old")
    finally:
        door.old.answer = None

    assert answer.values("x-banyan-side") == ["old"]
    for line in (
        b"Server: Apache/2.2",
        b"Date: Thu, 01 Jan 2015 00:00:00 GMT",
        b"Location: http://other.test/a//b",
        b"Set-Cookie: a=1; Path=/",
        b"Set-Cookie: banyan_x=2; Path=/",
        b"X-Powered-By: PHP/5.3",
        b"X_Under: yes",
    ):
        assert line in answer.head.split(b"\r\n")
    assert not any(name.startswith("x-envoy") for name in _names(answer.head))


@pytest.mark.parametrize("given", ["<script>alert(1)</script>", "11111111-1111-1111-1111-111111111111", "a\tb"])
async def test_a_request_id_from_outside_is_not_believed(door: Front, given: str) -> None:
    answer = await door.get("/old", f"X-Request-ID: {given}")

    (seen,) = door.old.last.values(b"x-request-id")
    assert seen.decode() == answer.value("x-request-id")
    assert given not in answer.raw.decode()
    assert given.encode() not in door.old.last.head


async def test_the_old_site_sees_what_the_client_sent_and_little_more(door: Front) -> None:
    await door.get(
        "/old", "User-Agent: Old/1.0", "Accept-Encoding: gzip", "X-Envoy-Retry-On: 5xx", "Referer: http://a/"
    )

    names = sorted(name.lower().decode() for name, _ in door.old.last.headers)
    assert names == sorted(
        [
            *("host", "user-agent", "accept-encoding", "referer"),
            *("x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
        ]
    )
    assert b"User-Agent: Old/1.0" in door.old.last.head


async def test_a_client_cannot_say_where_it_comes_from(door: Front) -> None:
    await door.get(
        "/old",
        "X-Forwarded-For: 6.6.6.6",
        "X_Forwarded_For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil.test",
        "x-forwarded_host: evil.test",
    )

    received = door.old.last
    assert received.value(b"x-forwarded-for") == b"127.0.0.1"
    assert received.value(b"x-forwarded-proto") == b"http"
    assert received.value(b"x-forwarded-host") == b"school.test"
    assert received.value(b"host") == b"school.test"
    assert b"evil" not in received.head
    assert b"6.6.6.6" not in received.head


async def test_a_trusted_proxy_is_believed() -> None:
    async with front(BANYAN_TRUSTED_HOPS="1") as door:
        await door.get(
            "/old", "X-Forwarded-For: 7.7.7.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.school.test"
        )

        received = door.old.last
    assert received.value(b"x-forwarded-for").replace(b" ", b"") == b"7.7.7.7,127.0.0.1"
    assert received.value(b"x-forwarded-proto") == b"https"
    assert received.value(b"x-forwarded-host") == b"www.school.test"


async def test_a_public_https_url_is_what_the_old_site_is_told() -> None:
    async with front(BANYAN_PUBLIC_URL="https://www.school.test", BANYAN_LEGACY_HOST="intranet:8080") as door:
        answer = await door.get("/old")
        await door.get("/courses")

    received = door.old.requests[0]
    assert answer.side == "old"
    assert received.value(b"host") == b"intranet:8080"
    assert received.value(b"x-forwarded-host") == b"school.test"
    assert received.value(b"x-forwarded-proto") == b"https"


def _last(door: Front, name: bytes) -> Received:
    return door.upstreams[name.decode()].last


def _names(head: bytes) -> list[str]:
    return [line.partition(b":")[0].decode().lower() for line in head.split(b"\r\n")[1:]]
