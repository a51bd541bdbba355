"""The row that answers a request is the one that the plain reading of the table says."""

import json
import random
import re
from collections.abc import Iterator
from urllib.parse import parse_qsl

import pytest

from banyan.gateway.domain import matching, routes
from banyan.gateway.domain.routes import Route
from tests.gateway.envoy.fronts import front, read_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = [
    Route(name="home", path="/", service="web"),
    Route(name="list", path="/courses", service="web"),
    Route(name="list-get", path="/courses", method="GET", service="web"),
    Route(name="list-post", path="/courses", method="POST", service="web"),
    Route(name="list-host", path="/courses", host="shop.test", service="web"),
    Route(name="one", path="/courses/{slug}", service="web"),
    Route(name="new", path="/courses/new", service="web"),
    Route(name="below", path="/courses/*", service="web"),
    Route(name="lesson", path="/learn/{slug}/{lesson}", service="web"),
    Route(name="learn", path="/learn/*", service="web"),
    Route(name="files", path="/files/{year}/*", service="web"),
    Route(name="hangul", path="/강의/{slug}", service="web"),
    Route(name="dots", path="/a.b/c+d(e)", service="web"),
    Route(name="view", path="/index.php", query="mod=course&act=view", service="web"),
    Route(name="course", path="/index.php", query="mod=course", service="web"),
    Route(name="print", path="/index.php", query="mod=course&print", service="web"),
    Route(name="hangul-query", path="/search", query="q=강의", service="web"),
    Route(name="api", path="/api/v2/*", method="DELETE", host="shop.test", service="web"),
]
PATHS = [
    *("/", "/courses", "/courses/", "/courses/a", "/courses/a/", "/courses/a/b", "/courses/new", "/courses/new/"),
    *("/coursesx", "/courses.", "/learn", "/learn/", "/learn/a", "/learn/a/b", "/learn/a/b/", "/learn/a/b/c"),
    *("/files/2012", "/files/2012/", "/files/2012/a/b", "/files//a", "/aXb/c+d(e)", "/a.b/c+d(e)", "/a.b/c+d(e)/"),
    *("/%EA%B0%95%EC%9D%98/a", "/%EA%B0%95%EC%9D%98", "/api/v2/", "/api/v2/x", "/api/v2", "/index.php", "/search"),
]
QUERIES = ["", "mod=course", "act=view&mod=course", "mod=course&act=view&id=3", "mod=cours", "print&mod=course"]
QUERIES += ["mod=course&print=1", "mod=Course&act=view", "q=%EA%B0%95%EC%9D%98", "a=1", "mod=x&mod=course"]


def requests() -> Iterator[tuple[str, str, str, str]]:
    draw = random.Random(7)
    for path in PATHS:
        for query in QUERIES if path in ("/index.php", "/search") else ["", "a=1"]:
            for method in ("GET", "HEAD", "POST", "DELETE"):
                yield method, draw.choice(["school.test", "shop.test", "SHOP.test:8080", "shop.test."]), path, query


async def test_envoy_reads_the_table_as_it_is_meant() -> None:
    table = [routes.checked(row) for row in ROWS]
    asked = list(requests())
    async with front(legacy="demo") as door:
        await door.plane.apply(table)
        reader, writer = await door.connect()
        expected = {}
        for method, host, path, query in asked:
            target = f"{path}?{query}" if query else path
            writer.write(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
            answer = await read_answer(reader, head_only=method == "HEAD")
            expected[answer.value("x-request-id")] = (method, host, target, meant(table, method, host, path, query))
        writer.close()
        await door.stop()
        lines = [json.loads(line) for line in (door.settings.logs / "access.log").read_text().splitlines()]

    found = {line["request_id"]: line["route"] for line in lines}
    assert {request: found[number] for number, request in expected.items()} == {
        request: request[3] for request in expected.values()
    }
    assert len(set(found.values())) == len(ROWS) + 2


async def test_escapes_of_one_letter_are_one_path_in_either_case() -> None:
    async with front(legacy="demo") as door:
        await door.plane.apply([routes.checked(Route(name="hangul", path="/강의", side="new", service="web"))])
        sides = [(await door.get(path)).side for path in ("/%EA%B0%95%EC%9D%98", "/%ea%b0%95%ec%9d%98", "/%EA%b0%95")]

    assert sides == ["new", "new", "old"]


def meant(table: list[Route], method: str, host: str, path: str, query: str) -> str:
    if re.fullmatch(matching.GUARD, path):
        return "_guard"
    name = host.lower().split(":")[0].rstrip(".")
    # Envoy compares keys and values as they are written, and so does a row.
    pairs = [(key, value) for key, value in (pair.partition("=")[::2] for pair in query.split("&") if pair)]
    assert len(pairs) == len(parse_qsl(query, keep_blank_values=True))
    for route in routes.in_order(table):
        if routes.matches(route, method=method, host=name, path=path, query=pairs):
            return route.name
    return "_rest"
