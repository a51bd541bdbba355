"""The gateway's own answers: pages for people in their language, problem documents for programs."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.gateway.envoy.fronts import Answer, Front, free_port, front
from tests.gateway.envoy.upstreams import Upstream, speaking

pytestmark = pytest.mark.asyncio(loop_scope="module")

HTML = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"
KO_TITLE = "사이트에 연결할 수 없어요"
EN_TITLE = "The site cannot be reached"


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ([], "en"),
        (["Accept-Language: ko"], "ko"),
        (["Accept-Language: ko-KR,ko;q=0.9,en-US;q=0.8"], "ko"),
        (["Accept-Language: en-US,ko;q=0.5"], "en"),
        (["Accept-Language: kok"], "en"),
        (["Accept-Language: ko", "Cookie: banyan_locale=en"], "en"),
        (["Accept-Language: en", "Cookie: a=1; banyan_locale=ko; b=2"], "ko"),
        (["Accept-Language: en", "Cookie: a=1", "Cookie: banyan_locale=ko"], "ko"),
        (["Accept-Language: ko", "Cookie: banyan_locale=fr"], "ko"),
    ],
)
@pytest.mark.parametrize("path", ["/old", "/courses"])
async def test_a_site_that_hangs_up_is_a_502_in_the_readers_language(
    door: Front, path: str, headers: list[str], language: str
) -> None:
    with speaking(door.old if path == "/old" else door.upstreams["web"], hanging_up):
        answer = await door.get(path, HTML, *headers)

    assert (answer.status, answer.side) == (502, "gateway")
    assert answer.value("content-type") == "text/html; charset=utf-8"
    assert answer.value("content-language") == language
    assert answer.value("cache-control") == "no-store"
    page = answer.body.decode()
    assert f'<html lang="{language}">' in page
    assert (KO_TITLE if language == "ko" else EN_TITLE) in page
    assert f"<dd>{answer.value('x-request-id')}</dd>" in page
    assert "%" not in page.replace("100%", "")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/old", ["Accept: application/json"]),
        ("/old", ["Accept: */*"]),
        ("/old", []),
        ("/api/v1/courses", [HTML]),
        ("/_banyan/api/v1/courses", [HTML]),
    ],
)
async def test_a_program_gets_a_problem_document(door: Front, path: str, headers: list[str]) -> None:
    upstream = door.old if path == "/old" else door.upstreams["learning"]
    with speaking(upstream, hanging_up):
        answer = await door.get(path, *headers)

    assert (answer.status, answer.side) == (502, "gateway")
    assert answer.value("content-type") == "application/problem+json"
    problem = json.loads(answer.body)
    assert problem["type"] == "/_banyan/problems/bad-gateway"
    assert (problem["title"], problem["status"]) == ("Bad Gateway", 502)
    assert problem["detail"].startswith(EN_TITLE)
    assert problem["request_id"] == answer.value("x-request-id")


async def test_a_forged_request_id_is_not_in_the_page(door: Front) -> None:
    with speaking(door.old, hanging_up):
        answer = await door.get("/<script>", HTML, "X-Request-ID: <script>alert(1)</script>", "Host: <script>")

    assert b"<script>" not in answer.body


async def test_an_old_site_that_speaks_no_http_is_a_502(door: Front) -> None:
    async def mail(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")
        await writer.drain()
        await reader.read()

    with speaking(door.old, mail):
        answer = await door.get("/old", HTML)

    assert (answer.status, answer.side) == (502, "gateway")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unreachable_old_site_is_a_502_however_often_it_is_asked(method: str) -> None:
    async with front(legacy=f"http://127.0.0.1:{free_port()}") as door:
        answers = await asyncio.gather(*(door.get("/old", HTML, "Content-Length: 0", method=method) for _ in range(30)))

    assert {(answer.status, answer.side) for answer in answers} == {(502, "gateway")}


async def test_a_name_that_leads_nowhere_is_a_502() -> None:
    async with front(legacy="http://no-such-site.invalid") as door:
        answer = await door.get("/old", HTML)

    assert (answer.status, answer.side) == (502, "gateway")


async def test_a_silent_new_side_is_a_504() -> None:
    async with front(legacy="demo", BANYAN_NEW_TIMEOUT_SECONDS="0.4") as door:
        with speaking(door.upstreams["web"], silent):
            answer = await door.get("/courses", HTML, "Accept-Language: ko")

    assert answer.status == 504
    assert "응답이 너무 오래 걸려요" in answer.body.decode()


async def test_health_says_that_the_control_plane_is_away() -> None:
    async with front(legacy="demo") as door:
        with speaking(door.upstreams["gateway"], hanging_up):
            dead = await door.get("/_banyan/health")
        with speaking(door.upstreams["gateway"], silent):
            hung = await door.get("/_banyan/health", HTML, seconds=5)
        Path(door.settings.socket("gateway")).unlink()
        door.upstreams["gateway"].drop()
        gone = await door.get("/_banyan/health")

    for answer in (dead, hung, gone):
        assert (answer.status, answer.value("content-type"), answer.side) == (503, "application/json", "gateway")
        assert json.loads(answer.body)["waiting_for"] == ["gateway"]
        assert answer.value("retry-after")


async def test_without_an_old_site_an_odd_path_is_a_404_and_the_rest_is_the_new_sides() -> None:
    async with front(legacy="none") as door:
        odd = await door.get("/courses/../x", HTML, "Accept-Language: ko")
        rest = await door.get("/anything")
        courses = await door.get("/courses")

    assert (odd.status, odd.side) == (404, "gateway")
    assert "이 주소에는 아무것도 없어요" in odd.body.decode()
    assert (rest.status, rest.side, rest.body) == (200, "new", b"web")
    assert courses.side == "new"


async def test_the_pages_of_the_old_site_are_never_replaced(door: Front) -> None:
    for status in (400, 403, 404, 500, 502, 503, 504):
        door.old.answer = b"HTTP/1.1 %d Theirs\r\nContent-Length: 6\r\n\r\ntheirs" % status
        answer = await door.get("/old", HTML)
        assert (answer.status, answer.side, answer.body) == (status, "old", b"theirs")
    door.old.answer = None


async def test_the_access_log_tells_the_way_of_a_request_and_no_secret(door: Front) -> None:
    answer = await door.get("/courses?token=secret", "Cookie: banyan_session=secret")
    line = await _log_line(door, answer)

    assert line["route"] == "courses"
    assert (line["side"], line["status"], line["method"], line["path"]) == ("new", 200, "GET", "/courses")
    assert isinstance(line["ms"], int)
    assert "secret" not in json.dumps(line)


async def test_a_link_that_is_as_good_as_a_password_is_not_written_down() -> None:
    async with front() as door:
        for path in ("/reset/secret", "/_banyan/reset/secret", "/reset"):
            await door.get(path)
        await door.stop()
        log = (door.settings.logs / "access.log").read_text()

    assert [json.loads(line)["path"] for line in log.splitlines()] == ["/reset"]
    assert "secret" not in log


@pytest.mark.parametrize(("mode", "expected"), [("errors", ["/broken"]), ("off", [])])
async def test_the_access_log_may_keep_errors_only_or_nothing(mode: str, expected: list[str]) -> None:
    async with front(BANYAN_ACCESS_LOG=mode) as door:
        await door.get("/fine")
        door.old.answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        await door.get("/broken")
        await door.stop()
        log = door.settings.logs / "access.log"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    assert [line["path"] for line in lines] == expected


async def _log_line(door: Front, answer: Answer) -> dict[str, object]:
    log = door.settings.logs / "access.log"
    for _ in range(200):
        for text in log.read_text().splitlines() if log.exists() else ():
            line: dict[str, object] = json.loads(text)
            if line["request_id"] == answer.value("x-request-id"):
                return line
        await asyncio.sleep(0.02)
    raise AssertionError("the request is not in the access log")


async def hanging_up(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upstream.receive(reader)


async def silent(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await upstream.receive(reader)
