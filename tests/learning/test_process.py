"""The learning process, really run: its answers over the socket, bad input, and its database coming late."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.clients.learning import LearningClient
from banyan.contracts import learning as wire
from banyan.demo import catalogue
from banyan.infra.http_client import HttpClient, ServiceRefused
from tests.conftest import Postgres


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])


class Process:
    """`banyan run learning` on a database of its own."""

    def __init__(self, database_url: str, *, demo: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="by-", dir="/tmp"))
        environ = {
            **os.environ,
            "BANYAN_DATA": str(self.folder),
            "BANYAN_LEARNING_DATABASE_URL": database_url,
            "BANYAN_DEMO": "1" if demo else "0",
        }
        self.socket = self.folder / "run" / "learning.sock"
        self.log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "banyan.processes.run", "learning"], env=environ, stdout=self.log, stderr=self.log
        )

    def ask(self, target: str | bytes, *, method: str = "GET", headers: str = "") -> Answer:
        """One request, its target byte for byte."""
        raw = target if isinstance(target, bytes) else target.encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self.socket))
            head = (
                f"{method} ".encode()
                + raw
                + f" HTTP/1.1\r\nhost: learning\r\nconnection: close\r\n{headers}\r\n".encode()
            )
            connection.sendall(head)
            content = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = content.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        return Answer(int(status.split()[1]), fields, body)

    def ask_until(self, target: str, status: int, *, seconds: float = 30) -> Answer:
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self.ask(target)
                if answer.status == status:
                    return answer
            except OSError:
                answer = None
            assert self.process.poll() is None, self.read_log()
            assert time.monotonic() < deadline, (answer, self.read_log())
            time.sleep(0.05)

    def read_log(self) -> str:
        return (self.folder / "log").read_text()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=15)
        self.log.close()
        shutil.rmtree(self.folder)
        return code


@pytest.fixture(scope="module")
def demo(postgres: Postgres) -> Iterator[Process]:
    process = Process(postgres.url(asyncio.run(postgres.make_database())), demo=True)
    process.ask_until("/ready", 204)
    yield process
    assert process.end() == 0


def test_the_demo_has_its_courses_for_anybody(demo: Process) -> None:
    first = msgspec.json.decode(demo.ask("/api/v1/courses").body, type=wire.CoursePage)
    rest = msgspec.json.decode(demo.ask(f"/api/v1/courses?limit=100&after={first.next}").body, type=wire.CoursePage)

    assert (len(first.items), first.total, len(rest.items)) == (20, 300, 100)
    made = {course.slug: course for course in catalogue.courses()}
    for card in first.items:
        assert (card.title, card.price, card.learners, card.published_at) == (
            made[card.slug].title,
            made[card.slug].price,
            made[card.slug].learners,
            made[card.slug].published_on,
        )


def test_a_course_is_there_whole_by_its_korean_address(demo: Process) -> None:
    made = next(course for course in catalogue.courses() if course.language == "ko")

    answer = demo.ask(f"/api/v1/courses/{quote(made.slug)}")

    shown = msgspec.json.decode(answer.body, type=wire.Course)
    assert [(s.title, [(le.title, le.kind, le.preview) for le in s.lessons]) for s in shown.sections] == [
        (s.title, [(le.title, le.kind, le.preview) for le in s.lessons]) for s in made.sections
    ]
    assert (shown.description, shown.outcomes) == (made.description, list(made.outcomes))
    assert shown.instructor == catalogue.person(made.instructor).name
    assert made.title.encode() in answer.body
    assert answer.headers["content-type"] == "application/json"


def test_filters_go_by_the_address(demo: Process) -> None:
    made = catalogue.courses()
    for query, wanted in (
        ("price=free", lambda course: course.price == 0),
        ("price=paid&language=en", lambda course: course.price > 0 and course.language == "en"),
        (
            f"level=beginner&category={made[0].category}",
            lambda c: (c.level, c.category) == ("beginner", made[0].category),
        ),
        (f"q={quote(made[0].title)}", lambda course: made[0].title in course.title),
        ("q=&sort=popular", lambda course: True),
    ):
        page = msgspec.json.decode(demo.ask(f"/api/v1/courses?{query}").body, type=wire.CoursePage)
        assert page.total == sum(map(wanted, made)), query


def test_decomposed_hangul_means_the_same(demo: Process) -> None:
    made = next(course for course in catalogue.courses() if course.language == "ko")
    decomposed = quote(unicodedata.normalize("NFD", made.slug))

    assert demo.ask(f"/api/v1/courses/{decomposed}").status == 200
    found = demo.ask(f"/api/v1/courses?q={quote(unicodedata.normalize('NFD', made.title))}").json()
    assert found["total"] == 1


def test_who_has_the_answer_gets_none_again(demo: Process) -> None:
    answer = demo.ask("/api/v1/courses")
    tag = answer.headers["etag"]

    again = demo.ask("/api/v1/courses", headers=f"if-none-match: W/{tag}, {tag}\r\n")
    other = demo.ask("/api/v1/courses?limit=3", headers=f"if-none-match: {tag}\r\n")

    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert other.status == 200
    assert answer.headers["cache-control"] == "private, no-cache"


def test_head_answers_without_a_body(demo: Process) -> None:
    asked, head = demo.ask("/api/v1/courses"), demo.ask("/api/v1/courses", method="HEAD")

    assert (head.status, head.body, head.headers["etag"]) == (200, b"", asked.headers["etag"])


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/courses/no-such-course", 404),
        ("/api/v1/courses/%00", 404),
        ("/api/v1/courses/%FF%FE", 404),
        ("/api/v1/courses/" + "a" * 20_000, 404),
        ("/api/v1/courses/..%2F..%2Fetc", 404),
        ("/api/v1/courses/'; DROP TABLE course; --".replace(" ", "%20"), 404),
        ("/api/v1/courses?limit=0", 422),
        ("/api/v1/courses?limit=101", 422),
        ("/api/v1/courses?limit=-1", 422),
        ("/api/v1/courses?limit=many", 422),
        ("/api/v1/courses?limit=99999999999999999999999", 422),
        ("/api/v1/courses?language=fr", 422),
        ("/api/v1/courses?level=%00", 422),
        ("/api/v1/courses?price=cheap", 422),
        ("/api/v1/courses?sort=random", 422),
        ("/api/v1/courses?after=made-up", 422),
        ("/api/v1/courses?after=%00", 422),
        ("/api/v1/courses?after=%EC%97%86%EC%9D%8C", 422),
        ("/api/v1/courses?after=" + "A" * 501, 422),
        ("/api/v1/courses?q=" + "a" * 201, 422),
        ("/api/v1/courses?q=%00", 400),
        ("/api/v1/courses?q=%FF", 400),
        ("/api/v1/courses?q=%ED%A0%80", 400),
        ("/api/v1/courses?category=%00", 400),
        ("/api/v1/courses?category=no-such", 200),
        ("/api/v1/courses?q=%25%25%25%5C", 200),
        ("/api/v1/courses?q=';--", 200),
        ("/api/v1/courses?unknown=1", 200),
        ("/api/v1/courses/", 404),
        ("/api/v1/nothing", 404),
    ],
)
def test_bad_input_gets_a_clear_answer(demo: Process, target: str, status: int) -> None:
    answer = demo.ask(target)

    assert answer.status == status
    if status >= 400:
        document = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert document["status"] == status
        assert str(document["type"]).startswith("/_banyan/problems/")
        assert document["detail"]


def test_raw_bytes_in_the_request_line_get_a_clear_answer(demo: Process) -> None:
    assert demo.ask("/api/v1/courses/스프링".encode()).status in (400, 404)
    assert demo.ask(b"/api/v1/courses?q=\xff").status == 400
    assert demo.ask("/ready").status == 204


NAMES = ("language", "level", "category", "price", "q", "sort", "limit", "after", "x")


@settings(max_examples=80, deadline=None)
@given(
    slug=st.none() | st.binary(max_size=12),
    query=st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=12)), max_size=4),
)
def test_nothing_that_is_asked_breaks_it(demo: Process, slug: bytes | None, query: list[tuple[str, bytes]]) -> None:
    path = "/api/v1/courses" if slug is None else f"/api/v1/courses/{quote(slug, safe='')}"

    answer = demo.ask(path + "?" + "&".join(f"{name}={quote(value)}" for name, value in query))

    assert answer.status in (200, 400, 404, 422), answer


def test_a_write_is_not_understood(demo: Process) -> None:
    assert demo.ask("/api/v1/courses", method="POST").status == 405


async def test_the_client_speaks_the_same_language(demo: Process) -> None:
    http = HttpClient(demo.socket, "learning")
    client = LearningClient(http)
    try:
        page = await client.courses(language="ko", price="free", sort="popular", limit=2, q="", level=None)
        assert len(page.items) == 2
        more = await client.courses(language="ko", price="free", sort="popular", limit=2, after=page.next)
        assert more.items[0].learners <= page.items[1].learners
        assert (await client.course(page.items[0].slug)).title == page.items[0].title
        for slug in ("no-such-course", "..", ".", "", "a/b", "%2F", "a?b#c", "\x00"):
            with pytest.raises(ServiceRefused) as refused:
                await client.course(slug)
            assert (refused.value.status, refused.value.slug) == (404, "course-unknown"), slug
        with pytest.raises(ServiceRefused) as refused:
            await client.courses(limit=101)
        assert refused.value.status == 422
    finally:
        await http.close()


def test_it_answers_503_until_its_database_is_there(postgres: Postgres) -> None:
    name = f"late_{uuid.uuid4().hex[:12]}"
    process = Process(postgres.url(name))
    try:
        assert "retry-after" in process.ask_until("/api/v1/courses", 503).headers
        assert process.ask("/ready").json()["type"] == "/_banyan/problems/not-prepared"

        asyncio.run(_execute(postgres, f"CREATE DATABASE {name}"))

        process.ask_until("/ready", 204)
        assert process.ask("/api/v1/courses").json() == {"items": [], "next": None, "total": 0}
    finally:
        assert process.end() == 0


def test_it_stops_cleanly_while_it_waits_for_its_database(postgres: Postgres) -> None:
    process = Process(postgres.url("never_there"))
    process.ask_until("/ready", 503)

    assert process.end() == 0


def test_it_outlives_its_connections_and_its_database(postgres: Postgres) -> None:
    name = asyncio.run(postgres.make_database())
    process = Process(postgres.url(name))
    try:
        process.ask_until("/ready", 204)

        asyncio.run(
            _execute(postgres, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        )
        process.ask_until("/api/v1/courses", 200, seconds=5)
        asyncio.run(_execute(postgres, f"DROP DATABASE {name} WITH (FORCE)"))

        assert process.ask_until("/api/v1/courses", 503).json()["type"] == "/_banyan/problems/database-away"
        assert process.ask("/ready").status == 503
    finally:
        assert process.end() == 0


def test_a_server_that_ignores_hangul_ends_it_with_what_to_do(postgres: Postgres) -> None:
    name = f"c_locale_{uuid.uuid4().hex[:12]}"
    locale = "TEMPLATE template0 LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C' LOCALE 'C'"
    asyncio.run(_execute(postgres, f"CREATE DATABASE {name} {locale}"))
    process = Process(postgres.url(name))

    assert process.process.wait(timeout=30) != 0
    last_words = process.read_log().rsplit("HangulSearchBroken", 1)[-1]
    assert "initdb --locale-provider=builtin" in last_words
    process.end()


async def _execute(postgres: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
