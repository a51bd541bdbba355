"""Garbage at the front door of the whole demo: a clear answer, nothing executed, everybody else served."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from .exchange import Answer, Request, send
from .front_door import FrontDoor, banyan_up

HUNDRED_MEGABYTES = 100_000_000


@pytest.fixture(scope="module")
def demo() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as door:
        yield door


def ask(demo: FrontDoor, path: str, **headers: str) -> Answer:
    return send(
        Request(path, headers={name.replace("_", "-"): value for name, value in headers.items()}),
        to=demo.address,
        host=demo.host,
    )


def memory(demo: FrontDoor) -> int:
    """Kilobytes that all of Banyan's processes hold."""
    total = 0
    for child in json.loads(demo.banyan("status", "--json"))["processes"]:
        with open(f"/proc/{child['pid']}/smaps_rollup") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))
    return total


@pytest.mark.parametrize("chunked", [False, True], ids=["with-length", "chunked"])
def test_a_hundred_megabytes_for_a_json_endpoint_are_refused_and_not_kept(demo: FrontDoor, chunked: bool) -> None:
    before = memory(demo)
    status = post_much(demo, "/api/v1/courses", chunked=chunked)

    assert status in (405, 413)
    assert memory(demo) - before < 40_000
    assert ask(demo, "/api/v1/courses?limit=1").status == 200


def post_much(demo: FrontDoor, path: str, *, chunked: bool) -> int:
    connection = http.client.HTTPConnection(*demo.address, timeout=60)
    block = b"x" * 1_000_000
    blocks = (block for _ in range(HUNDRED_MEGABYTES // len(block)))
    headers = {"content-type": "application/json"}
    if not chunked:
        headers["content-length"] = str(HUNDRED_MEGABYTES)
    # Refused before all of it was sent: the answer may already be there.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request("POST", path, body=blocks, headers=headers, encode_chunked=chunked)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/courses/%FF%FE",
        "/courses/%ED%A0%80",
        "/api/v1/courses/%FF",
        "/api/v1/courses?q=%FF",
        "/api/v1/courses?limit=0",
        "/api/v1/courses?limit=101",
        "/api/v1/courses?limit=1e9",
        "/api/v1/courses?after=%00",
        "/api/v1/courses?after=bm90IGpzb24",
        "/api/v1/courses?q=" + "x" * 5000,
        "/courses?q=%00",
        "/courses?after=nonsense",
        "/courses/" + "x" * 5000,
        "/courses/'%20OR%201=1--",
        "/_banyan/api/v1/nothing",
        "/_banyan/nothing",
    ],
)
def test_odd_paths_and_queries_are_no_fault_of_ours(demo: FrontDoor, path: str) -> None:
    answer = ask(demo, path, Accept="text/html" if path.startswith("/courses") else "application/json")

    assert 200 <= answer.status < 500, answer.body[:300]
    if answer.status >= 400 and "/api/" in path:
        problem = json.loads(answer.body)
        assert problem["type"].startswith("/_banyan/problems/")
        assert problem["status"] == answer.status
        assert problem["detail"]


def test_a_search_for_markup_shows_it_and_runs_nothing(demo: FrontDoor) -> None:
    answer = ask(demo, "/courses?q=%3Cscript%3Ealert(1)%3C%2Fscript%3E", Accept="text/html")

    assert b"<script>alert(1)" not in answer.body
    assert b"&lt;script&gt;alert(1)" in answer.body


@pytest.mark.parametrize(
    "name",
    ["X-Banyan-User", "x-banyan-roles", "X_Banyan_User", "X.BANYAN.SESSION", "x-banyan_user", "X-BANYAN-TOKEN"],
)
@pytest.mark.parametrize("path", ["/", "/courses", "/mypage"])
def test_nobody_becomes_somebody_by_a_header(demo: FrontDoor, name: str, path: str) -> None:
    plain = ask(demo, path)
    forged = send(Request(path, headers={name: "1"}), to=demo.address, host=demo.host)

    assert forged.status == plain.status
    assert forged.header("location") == plain.header("location")
    assert ("로그아웃".encode() in forged.body) == ("로그아웃".encode() in plain.body)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        "GET /강의 HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
        b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["tls", "no-path", "raw-hangul", "two-megabyte-header", "smuggling", "no-host"],
)
def test_bytes_that_are_no_request_get_a_4xx_or_a_closed_connection(demo: FrontDoor, garbage: bytes) -> None:
    with socket.create_connection(demo.address, timeout=10) as connection:
        try:
            connection.sendall(garbage)
            answer = connection.recv(65536)
        except (BrokenPipeError, ConnectionResetError):
            answer = b""

    assert answer == b"" or answer[9:10] == b"4", answer[:200]
    assert ask(demo, "/").status == 200


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["route", "set", "course", "--side", "older"], "older"),
        (["route", "set", "coursez", "--side", "old"], "courses"),
        (["route", "set", "api", "--side", "old"], "old"),
        (["route", "add", "bad", "/a/{b"], "{"),
        (["route", "add", "bad", "no-slash"], "/"),
        (["route", "add", "bad", "/a//b"], "//"),
        (["route", "add", "bad", "/a/../b"], ".."),
        (["route", "add", "bad", "/_banyan/x"], "_banyan"),
        (["route", "add", "Bad Name", "/a"], "name"),
        (["route", "add", "courses", "/other"], "courses"),
        (["route", "add", "twin", "/courses"], "courses"),
        (["route", "show", "nothing"], "nothing"),
        (["route", "rm", "nothing"], "nothing"),
    ],
)
def test_a_wrong_command_is_answered_in_a_line_that_says_what_to_do(
    demo: FrontDoor, arguments: list[str], says: str
) -> None:
    before = demo.banyan("route", "ls", "--json")

    with pytest.raises(AssertionError) as refused:
        demo.banyan(*arguments)

    assert says in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert demo.banyan("route", "ls", "--json") == before


def test_two_templates_that_overlap_say_which_is_asked_first(demo: FrontDoor) -> None:
    said = demo.banyan("route", "add", "newest", "/courses/newest", "--service", "web")
    try:
        assert "overlaps with course, which is asked after it" in said
        assert "course, which is asked after this one" in demo.banyan("route", "show", "newest")
        rows = {row["name"]: row for row in json.loads(demo.banyan("route", "ls", "--json"))}
        assert rows["newest"]["order"] < rows["course"]["order"]
        assert rows["newest"]["overlaps"] == ["course"]
        assert rows["newest"]["path"] == "/courses/newest"
    finally:
        demo.banyan("route", "rm", "newest")
