"""Who is asking, at both sides: cookies and tokens become identity headers, and iam is asked only when it must be."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateway.envoy.fronts import exchange, read_answer
from tests.gateway.envoy.people import MINHO, SUZY, People, asker, people, set_cookies
from tests.gateway.envoy.upstreams import Received

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD, NEW = "/old", "/courses"
BOTH = pytest.mark.parametrize("path", [OLD, NEW])
WHOLE = ("session", "fresh", "ref")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[People]:
    async with people() as running:
        yield running


@pytest.fixture
def crowd(shared: People) -> People:
    shared.iam.renewals.clear()
    shared.iam.mood = "well"
    return shared


def last(crowd: People, path: str) -> Received:
    return crowd.door.old.last if path == OLD else crowd.door.upstreams["web"].last


@BOTH
async def test_a_token_cookie_becomes_a_user_at_both_sides(crowd: People, path: str) -> None:
    assert await crowd.who(path, crowd.iam.cookies(*WHOLE, token=crowd.iam.token(MINHO))) == MINHO

    received = last(crowd, path)
    assert received.value(b"x-banyan-roles") == b"learner"
    assert received.value(b"x-banyan-session").decode() == crowd.iam.session
    assert crowd.iam.renewals == []


COMBINATIONS = [
    # cookies, who it is (a renewal is always SUZY's), how often iam is asked
    ((), "", 0),
    (("fresh",), "", 0),
    (("session",), MINHO, 0),  # without a reference there is nothing to renew by
    (("session", "fresh"), MINHO, 0),
    (("session", "fresh", "ref"), MINHO, 0),
    (("session", "ref"), SUZY, 1),
    (("ref",), SUZY, 1),
    (("fresh", "ref"), SUZY, 1),  # the token is lost, the session is not
]


@BOTH
@pytest.mark.parametrize(("names", "who", "asked"), COMBINATIONS)
async def test_each_combination_of_cookies(
    crowd: People, path: str, names: tuple[str, ...], who: str, asked: int
) -> None:
    given = [crowd.iam.cookies(*names, token=crowd.iam.token(MINHO))] if names else []

    assert await crowd.who(path, *given) == who
    assert len(crowd.iam.renewals) == asked


@BOTH
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_renewal_counts_for_the_request_that_asked_for_it(crowd: People, path: str, method: str) -> None:
    expired = crowd.iam.token(MINHO, life=-60)

    answer = await crowd.door.get(
        path, crowd.iam.cookies("session", "ref", token=expired), "Content-Length: 0", method=method
    )

    assert asker(last(crowd, path)) == SUZY
    assert set(set_cookies(answer.values("set-cookie"))) == {"banyan_session", "banyan_fresh"}
    (asked,) = crowd.iam.renewals
    assert asked.line.startswith(f"{method} /gw/refresh?u={path}".encode())
    assert asked.value(b"x-forwarded-for") == b"127.0.0.1"
    assert not asked.values(b"x-banyan-user")


async def test_services_see_the_renewed_token_and_the_old_site_sees_none_of_ours(crowd: People) -> None:
    await crowd.door.get(NEW, crowd.iam.cookies("ref"))
    assert last(crowd, NEW).value(b"x-banyan-token").count(b".") == 2

    await crowd.door.get(OLD, crowd.iam.cookies("session", "ref") + "; theirs=1", "X-Mine: 1")
    seen = last(crowd, OLD)
    ours = {name.lower() for name, _ in seen.headers if b"banyan" in name.lower()}
    assert ours == {b"x-banyan-user", b"x-banyan-roles", b"x-banyan-session"}
    assert seen.value(b"cookie") == b"theirs=1"


@pytest.mark.parametrize(
    "path", ["/_banyan/console/assets/a.css", "/x.js", "/x.css?v=1", "/_banyan/media/1", "/a.webm"]
)
async def test_a_file_of_a_page_asks_nobody(crowd: People, path: str) -> None:
    await crowd.door.get(path, crowd.iam.cookies("ref"))

    assert crowd.iam.renewals == []


async def test_a_page_that_only_looks_like_a_file_asks(crowd: People) -> None:
    await crowd.door.get("/x?y=a.css", crowd.iam.cookies("ref"))

    assert len(crowd.iam.renewals) == 1


@BOTH
async def test_cookies_in_two_lines_are_one_browser(crowd: People, path: str) -> None:
    token = crowd.iam.token(MINHO)

    lines = [f"Cookie: a=1; banyan_session={token}", "Cookie: banyan_fresh=1; banyan_ref=r"]
    assert await crowd.who(path, *lines) == MINHO
    assert crowd.iam.renewals == []
    assert await crowd.who(path, "Cookie: a=1", "Cookie: banyan_ref=r") == SUZY
    assert len(crowd.iam.renewals) == 1


@BOTH
async def test_names_that_look_like_ours_are_others(crowd: People, path: str) -> None:
    token = crowd.iam.token()
    for name in ("zbanyan_{}", "banyan_{}2", "Banyan_{}", "banyan-{}", "x_banyan_{}"):
        for part in ("session", "ref"):
            assert await crowd.who(path, f"Cookie: {name.format(part)}={token}") == ""
    assert crowd.iam.renewals == []
    assert await crowd.who(path, f"Cookie: zbanyan_fresh=1; banyan_session={token}; banyan_ref=r") == SUZY
    assert len(crowd.iam.renewals) == 1


@BOTH
async def test_a_bearer_is_who_the_token_says_and_comes_first(crowd: People, path: str) -> None:
    bearer = f"Authorization: Bearer {crowd.iam.token(MINHO)}"

    assert await crowd.who(path, bearer) == MINHO
    assert last(crowd, path).value(b"authorization").startswith(b"Bearer ")
    assert await crowd.who(path, bearer, crowd.iam.cookies(*WHOLE)) == MINHO
    assert await crowd.who(path, "Authorization: Basic dXNlcjpw", crowd.iam.cookies(*WHOLE)) == SUZY
    assert last(crowd, path).value(b"authorization") == b"Basic dXNlcjpw"


@BOTH
async def test_a_token_in_the_query_is_ignored(crowd: People, path: str) -> None:
    token = crowd.iam.token()
    for name in ("access_token", "token", "banyan_session", "x-banyan-token"):
        assert await crowd.who(f"{path}?{name}={token}") == ""


@BOTH
async def test_who_is_gone_is_nobody_and_loses_the_cookies(crowd: People, path: str) -> None:
    crowd.iam.mood = "gone"

    answer = await crowd.door.get(path, crowd.iam.cookies("session", "ref"))

    assert (answer.status, asker(last(crowd, path))) == (200, "")
    assert not last(crowd, path).values(b"x-banyan-gone")
    assert set_cookies(answer.values("set-cookie")) == dict.fromkeys(
        ("banyan_session", "banyan_fresh", "banyan_ref"), ""
    )


@BOTH
async def test_what_an_answer_says_of_the_session_is_not_overruled_by_the_renewal(crowd: People, path: str) -> None:
    """Signing in as another or out, while a renewal of the former session was made on the way in."""
    upstream = crowd.door.old if path == OLD else crowd.door.upstreams["web"]
    upstream.answer = (
        b"HTTP/1.1 303 See Other\r\nSet-Cookie: theirs=1\r\nSet-Cookie: theirs=2; Path=/x\r\n"
        b"Set-Cookie: banyan_session=; Path=/; Max-Age=0\r\nContent-Length: 0\r\n\r\n"
    )
    try:
        answer = await crowd.door.get(path, crowd.iam.cookies("session", "ref"), "Content-Length: 0", method="POST")
    finally:
        upstream.answer = None

    assert len(crowd.iam.renewals) == 1
    assert answer.values("set-cookie") == [
        *("theirs=1", "theirs=2; Path=/x", "banyan_session=; Path=/; Max-Age=0"),
        "banyan_fresh=1; Path=/; Max-Age=300",
    ]


async def test_an_upload_is_streamed_and_known(crowd: People) -> None:
    body = b"x" * 100_000
    head = f"POST {OLD} HTTP/1.1\r\nHost: s\r\n{crowd.iam.cookies('session', 'ref')}\r\nContent-Length: {len(body)}"
    await crowd.door.send(head.encode() + b"\r\n\r\n" + body)

    assert asker(last(crowd, OLD)) == SUZY
    assert last(crowd, OLD).body == body
    assert crowd.iam.renewals[0].body == b""


@BOTH
async def test_a_websocket_has_a_session(crowd: People, path: str) -> None:
    upstream = crowd.door.old if path == OLD else crowd.door.upstreams["web"]
    upstream.answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    try:
        answer = await crowd.door.get(
            path, crowd.iam.cookies("session", "ref"), "Upgrade: websocket", "Connection: Upgrade"
        )
    finally:
        upstream.answer = None

    assert (answer.status, asker(last(crowd, path))) == (101, SUZY)
    assert "banyan_session" in set_cookies(answer.values("set-cookie"))


async def test_a_browser_that_goes_from_page_to_page_asks_iam_once(crowd: People) -> None:
    cookies = {"banyan_ref": "r", "PHPSESSID": "4e"}
    for path in (OLD, NEW, "/api/v1/me", "/x.css", "/_banyan/api/v1/enrolments", "/learn/a/1", "/", *[OLD, NEW] * 10):
        sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
        answer = await crowd.door.get(path, f"Cookie: {sent}")
        cookies |= set_cookies(answer.values("set-cookie"))

    assert len(crowd.iam.renewals) == 1


async def test_visitors_without_a_session_never_reach_iam(crowd: People) -> None:
    cookies = ("PHPSESSID=4e; wp=1", "banyan_locale=ko; banyan_fresh=1; banyan_session=junk")
    before = len(crowd.door.upstreams["iam"].requests)
    for path in (OLD, NEW, "/", "/api/v1/courses", "/login", "//odd"):
        for headers in ([], *([f"Cookie: {cookie}"] for cookie in cookies)):
            await crowd.door.get(path, *headers)

    asked = [request.path for request in crowd.door.upstreams["iam"].requests[before:]]
    assert set(asked) <= {b"/internal/keys", b"/internal/revoked-sessions"}


@pytest.mark.parametrize(
    ("path", "service", "seen"),
    [
        ("/api/v1/me", "iam", "/api/v1/me"),
        ("/_banyan/api/v1/session", "iam", "/api/v1/session"),
        ("/api/v1/sessions/1", "iam", "/api/v1/sessions/1"),
        ("/api/v1/accounts", "iam", "/api/v1/accounts"),
        ("/api/v1/password-resets/x?y=1", "iam", "/api/v1/password-resets/x?y=1"),
        ("/api/v1/enrolments", "learning", "/api/v1/enrolments"),
        ("/_banyan/api/v1/lessons/1/progress", "learning", "/api/v1/lessons/1/progress"),
        ("/api/v1/courses/x/live", "live", "/api/v1/courses/x/live"),
        ("/_banyan/api/v1/courses/x/live?a=1", "live", "/api/v1/courses/x/live?a=1"),
        ("/api/v1/courses/live", "learning", "/api/v1/courses/live"),
        ("/api/v1/courses/x/y/live", "learning", "/api/v1/courses/x/y/live"),
        ("/_banyan/media/a/b", "learning", "/_banyan/media/a/b"),
        ("/_banyan/mail", "iam", "/_banyan/mail"),
        ("/_banyan/login?next=/x", "web", "/login?next=/x"),
        ("/_banyan/reset/t", "web", "/reset/t"),
        ("/learn/a/b", "web", "/learn/a/b"),
        ("/me", "web", "/me"),
        ("/courses/a/enrolment", "web", "/courses/a/enrolment"),
    ],
)
async def test_people_have_their_own_paths(crowd: People, path: str, service: str, seen: str) -> None:
    answer = await crowd.door.get(path)

    assert (answer.side, answer.body.decode()) == ("new", service)
    assert crowd.door.upstreams[service].last.path == seen.encode()


@pytest.mark.parametrize(
    "path",
    [
        "/internal/keys",
        "/gw/refresh?u=/",
        "/_banyan/internal/keys",
        "/_banyan/gw/refresh",
        "/_banyan/mail/../internal/keys",
        "/_banyan/mailinternal/keys",
        "/api/v1/me/../../../internal/keys",
        "/api/v1/session/..%2f..%2f..%2finternal/keys",
        "//internal/keys",
        "/_banyan/api/v1/internal/keys",
        "/_banyan/api/v1/gw/refresh",
    ],
)
async def test_what_iam_tells_services_is_not_told_at_the_front_door(crowd: People, path: str) -> None:
    for host in ("school.test", "iam", "internal"):
        answer = await crowd.door.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

        assert answer.body != b"iam"
        assert b"jwks" not in answer.raw


async def test_a_keep_alive_connection_carries_different_people(crowd: People) -> None:
    reader, writer = await crowd.door.connect()
    for given, who in ((crowd.iam.cookies(*WHOLE), SUZY), ("X-Nothing: 1", ""), (crowd.iam.cookies("ref"), SUZY)):
        writer.write(f"GET {OLD} HTTP/1.1\r\nHost: s\r\n{given}\r\n\r\n".encode())
        await read_answer(reader)
        assert asker(last(crowd, OLD)) == who
    writer.close()


async def test_services_call_each_other_with_a_token_and_nothing_else(crowd: People) -> None:
    async def ask(*headers: str) -> Received:
        reader, writer = await asyncio.open_unix_connection(crowd.door.settings.run / "internal.sock")
        lines = ["GET /api/v1/me HTTP/1.1", "Host: iam", *headers, "", ""]
        await exchange(reader, writer, "\r\n".join(lines).encode())
        return crowd.door.upstreams["iam"].last

    assert asker(await ask()) == ""
    known = await ask(f"Authorization: Bearer {crowd.iam.token(MINHO)}")
    assert asker(known) == MINHO
    assert known.value(b"authorization").startswith(b"Bearer ")
    forged = ("X-Banyan-User: forged", "x_banyan-session: forged", f"x-banyan-token: {crowd.iam.token()}")
    assert asker(await ask(*forged)) == ""
    assert crowd.iam.renewals == []


async def test_keys_are_public_and_only_that(crowd: People) -> None:
    folder = crowd.door.settings.data / "envoy"
    texts = [path.read_text() for path in folder.rglob("*.json")]

    assert any("jwks" in text for text in texts)
    private = crowd.iam.keys[0].as_dict(private=True)["d"]
    assert not any(str(private) in text for text in texts)
    assert json.loads((folder / "jwt" / "jwt.json").read_text())["version_info"]
