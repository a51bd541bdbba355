"""What reaches whom: odd paths, methods and framings, byte for byte."""

import pytest

from tests.gateway.envoy.fronts import Front, read_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

TO_OLD = [
    "/",
    "/wp-login.php?redirect_to=%2Fwp-admin%2F",
    "/a%2Fb",
    "/a%5Cb",
    "/a//b",
    "//a",
    "/a/../b",
    "/a/%2e%2e/b",
    "/a/./b",
    "/a\\b",
    "/%ED%95%9C",
    "/%ed%95%9c",
    "/a?x=%2F//../%00",
    "/a%20b+c",
    "/a%zz",
    "/a;v=1/b",
    '/a|b"c<d>{e}^`',
    "/a%00b",
    "/a%3Fb%23c",
    "/?",
    "/a??b=c?d",
    "/index.php?mod=course&act=view&id=1&id=2&&=",
    "/COURSES",
    "/coursesx",
    "/courses/a/b",
    "/courses;jsessionid=1",
    "/_banyanx",
    "/_Banyan/console",
    "/api",
    "/api/v2/courses",
]
GUARDED = [
    "//courses",
    "/courses//",
    "/courses/../admin",
    "/courses/..%2fadmin",
    "/courses/%2e%2e",
    "/courses/..;/x",
    "/./courses",
    "/courses/.",
    "/%63ourses",
    "/courses/a%2Fb",
    "/courses/a%5cb",
    "/courses/a%00",
    "/courses/a\\b",
    "/api/v1/../courses",
    "/api/v1//courses",
    "/_banyan/../admin",
    "/_banyan//console",
    "/_banyan/%63onsole",
    "/_banyan/api/v1/courses/..%2f",
]
TO_NEW = [
    ("/courses", "web", "/courses"),
    ("/courses/", "web", "/courses/"),
    ("/courses?x=//..%2F", "web", "/courses?x=//..%2F"),
    ("/courses/%EA%B0%95%EC%9D%98-1", "web", "/courses/%EA%B0%95%EC%9D%98-1"),
    ("/courses/a/", "web", "/courses/a/"),
    ("/api/v1/courses", "learning", "/api/v1/courses"),
    ("/api/v1/courses/a/b?limit=1", "learning", "/api/v1/courses/a/b?limit=1"),
    ("/api/v1/coursesx", "web", "/api/v1/coursesx"),
    ("/api/v1/", "web", "/api/v1/"),
    ("/_banyan/api/v1/courses", "learning", "/api/v1/courses"),
    ("/_banyan/api/v1/courses?after=x", "learning", "/api/v1/courses?after=x"),
    ("/_banyan/api/v1/courses/a", "learning", "/api/v1/courses/a"),
    ("/_banyan/api/v1/nothing", "web", "/_banyan/api/v1/nothing"),
    ("/_banyan/assets/app.css", "web", "/_banyan/assets/app.css"),
    ("/_banyan", "web", "/_banyan"),
    ("/_banyan/console", "gateway", "/_banyan/console"),
    ("/_banyan/console/routes/a", "gateway", "/_banyan/console/routes/a"),
    ("/_banyan/health", "gateway", "/_banyan/health"),
]


@pytest.mark.parametrize("path", [*TO_OLD, *GUARDED])
async def test_the_old_site_gets_the_path_as_it_came(door: Front, path: str) -> None:
    answer = await door.get(path)

    assert (answer.status, answer.side, answer.body) == (200, "old", b"old-site")
    assert door.old.last.path == path.encode()


@pytest.mark.parametrize(("path", "service", "seen"), TO_NEW)
async def test_the_new_side_gets_its_own_paths(door: Front, path: str, service: str, seen: str) -> None:
    answer = await door.get(path)

    assert (answer.status, answer.side, answer.body) == (
        200,
        "gateway" if service == "gateway" else "new",
        service.encode(),
    )
    assert door.upstreams[service].last.path == seen.encode()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "PURGE"])
async def test_every_method_passes(door: Front, method: str) -> None:
    answer = await door.get("/x", "Content-Length: 0", method=method)

    assert (answer.status, answer.side) == (200, "old")
    assert door.old.last.line == f"{method} /x HTTP/1.1".encode()


async def test_head_answers_with_the_length_and_no_body(door: Front) -> None:
    answer = await door.get("/x", method="HEAD")

    assert (answer.value("content-length"), answer.body) == ("8", b"")


async def test_http_1_0_without_a_host_is_answered(door: Front) -> None:
    answer = await door.send(b"GET /old HTTP/1.0\r\n\r\n")

    assert (answer.status, answer.body) == (200, b"old-site")
    assert door.old.last.value(b"host") == f"127.0.0.1:{door.settings.port}".encode()


async def test_the_absolute_form_reaches_the_old_site_as_a_path(door: Front) -> None:
    await door.send(b"GET http://school.test/a//b%2F?c HTTP/1.1\r\nHost: school.test\r\n\r\n")

    assert door.old.last.path == b"/a//b%2F?c"
    assert door.old.last.value(b"host") == b"school.test"


async def test_expect_100_continue_is_answered_before_the_body(door: Front) -> None:
    reader, writer = await door.connect()
    writer.write(b"POST /up HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
    interim = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"body")
    final = await reader.readuntil(b"\r\n\r\n")
    writer.close()

    assert interim.startswith(b"HTTP/1.1 100")
    assert final.startswith(b"HTTP/1.1 200")
    assert door.old.last.body == b"body"


async def test_a_chunked_body_arrives_chunked(door: Front) -> None:
    await door.send(
        b"POST /up HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )

    assert door.old.last.values(b"content-length") == []
    assert b"abc" in door.old.last.body
    assert b"de" in door.old.last.body


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("GET /강의 HTTP/1.1\r\nHost: s\r\n\r\n".encode(), id="raw-hangul-in-the-path"),
        pytest.param("GET /?q=강의 HTTP/1.1\r\nHost: s\r\n\r\n".encode("cp949"), id="raw-cp949-in-the-query"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no-host"),
        pytest.param(b"GET /a b HTTP/1.1\r\nHost: s\r\n\r\n", id="space-in-the-path"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over tls\r\n\r\n", id="tls-to-a-plain-port"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two-framings",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: s\r\nX-A: b\x00c\r\n\r\n", id="zero-byte-in-a-header"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two-hosts"),
    ],
)
async def test_what_cannot_be_read_is_refused_clearly(door: Front, raw: bytes) -> None:
    seen = len(door.old.requests)

    answer = await door.send(raw)

    assert answer.status == 400
    assert b"This request cannot be read" in answer.body
    assert answer.side == "gateway"
    assert len(door.old.requests) == seen


async def test_a_header_of_two_megabytes_is_refused_clearly(door: Front) -> None:
    reader, writer = await door.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: s\r\nX-Big: " + b"a" * 2_000_000 + b"\r\n\r\n")
    answer = await read_answer(reader)
    writer.close()

    assert (answer.status, answer.side) == (431, "gateway")
    assert b"too much in its head" in answer.body


async def test_one_connection_carries_many_requests(door: Front) -> None:
    reader, writer = await door.connect()
    for path in (b"/a", b"/courses", b"/b"):
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: s\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(3 if path == b"/courses" else 8)
    writer.close()


ODD_ANSWERS = {
    "reason": b"HTTP/1.1 299 Weird and old\r\nContent-Length: 1\r\n\r\na",
    "http-1.0": b"HTTP/1.0 200 OK\r\nX-Old: yes\r\nContent-Length: 1\r\n\r\na",
    "bare-lf": b"HTTP/1.1 200 OK\nX-Old: 1\nContent-Length: 1\n\na",
    "two-framings": b"HTTP/1.1 200 OK\r\nX-Old: 1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\na\r\n0\r\n\r\n",
    "cp949": b"HTTP/1.1 200 OK\r\nX-File: \xc7\xd1\xb1\xdb.xls\r\nContent-Length: 1\r\n\r\na",
    "raw-location": b"HTTP/1.1 302 Found\r\nLocation: /\xea\xb0\x95\r\nContent-Length: 0\r\n\r\n",
    "many-headers": b"HTTP/1.1 200 OK\r\n" + b"Set-Cookie: a=1\r\n" * 300 + b"Content-Length: 1\r\n\r\na",
    "big-header": b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 200_000 + b"\r\nContent-Length: 1\r\n\r\na",
}


@pytest.mark.parametrize("oddity", ODD_ANSWERS)
async def test_odd_answers_of_the_old_site_pass(door: Front, oddity: str) -> None:
    door.old.answer = ODD_ANSWERS[oddity]
    try:
        received = await door.get("/odd")
    finally:
        door.old.answer = None

    first, second = _first_lines(ODD_ANSWERS[oddity])
    assert received.side == "old"
    assert received.head.split(b"\r\n")[0].split(b" ", 1)[1] == first.split(b" ", 1)[1]
    assert second in received.head.split(b"\r\n")


def _first_lines(answer: bytes) -> tuple[bytes, bytes]:
    """The status line and the first header."""
    first, second = answer.replace(b"\r\n", b"\n").split(b"\n")[:2]
    return first, second
