"""The control API: what it answers, what it refuses, and that no browser reaches it."""

import httpx
import pytest

from banyan.gateway.operations.routes import Routes
from tests.fakes.front_door import RecordingFrontDoor


@pytest.fixture
def socket(browser: httpx.AsyncClient) -> httpx.AsyncClient:
    """A caller on the process's own socket."""
    del browser.headers["x-forwarded-for"]
    browser.headers["accept"] = "application/json"
    return browser


async def test_the_list_has_every_field_in_the_order_asked(socket: httpx.AsyncClient) -> None:
    answer = await socket.get("/control/routes")

    assert answer.json()["next"] is None
    assert [(row["order"], row["name"], row["path"]) for row in answer.json()["items"]] == [
        (1, "api", "/api/v1/*"),
        (2, "courses", "/courses"),
        (3, "course", "/courses/{slug}"),
    ]
    assert set(answer.json()["items"][0]) == {
        *("name", "method", "host", "path", "query", "fate", "side", "old_twin", "service", "order", "overlaps"),
    }


async def test_a_route_is_added_moved_and_removed(socket: httpx.AsyncClient, front_door: RecordingFrontDoor) -> None:
    new = {"name": "reviews", "path": "/후기/{slug}", "method": "get", "service": "web"}

    assert (await socket.post("/control/routes", json=new)).status_code == 201
    assert (await socket.put("/control/routes/reviews/side", json={"side": "new"})).status_code == 200
    assert front_door.sides()["reviews"] == "new"
    assert (await socket.delete("/control/routes/reviews")).status_code == 200

    assert "reviews" not in front_door.sides()
    changes = (await socket.get("/control/changes", params={"limit": 3})).json()["items"]
    assert [change["action"] for change in changes] == ["remove", "move", "add"]
    assert "후기".encode() in (await socket.get("/control/changes")).content


REFUSALS = [
    ("PUT", "/control/routes/nope/side", {"side": "old"}, 404, "route-unknown"),
    ("PUT", "/control/routes/api/side", {"side": "old"}, 422, "no-old-site"),
    ("PUT", "/control/routes/course/side", {"side": "both"}, 422, "invalid-request"),
    ("PUT", "/control/routes/course/side", {}, 422, "invalid-request"),
    ("DELETE", "/control/routes/nope", None, 404, "route-unknown"),
    ("POST", "/control/routes", {"name": "x"}, 422, "invalid-request"),
    ("POST", "/control/routes", {"name": "x", "path": "x"}, 422, "template-invalid"),
    ("POST", "/control/routes", {"name": "X", "path": "/x"}, 422, "route-invalid"),
    ("POST", "/control/routes", {"name": "x", "path": "/x", "side": "new"}, 422, "no-new-side"),
    ("POST", "/control/routes", {"name": "course", "path": "/x"}, 409, "route-exists"),
    ("POST", "/control/routes", {"name": "x", "path": "/courses/{y}"}, 409, "same-requests"),
    ("GET", "/control/changes?limit=101", None, 422, "invalid-request"),
    ("GET", "/control/changes?after=nonsense", None, 422, "cursor-not-ours"),
    ("GET", "/control/nothing", None, 404, "not-found"),
]


async def test_a_refusal_is_a_problem_document_and_changes_nothing(socket: httpx.AsyncClient, routes: Routes) -> None:
    before = await routes.table()

    for method, path, body, status, kind in REFUSALS:
        answer = await socket.request(method, path, json=body)

        found = (method, path, body, answer.status_code, answer.json()["type"].removeprefix("/_banyan/problems/"))
        assert found == (method, path, body, status, kind)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    assert await routes.table() == before


async def test_a_body_that_is_no_json_is_refused(socket: httpx.AsyncClient) -> None:
    for content in (b"\xff\xfe", b'{"name": "\xff"}', b"[[[", b"null", b""):
        answer = await socket.post("/control/routes", content=content, headers={"content-type": "application/json"})

        assert answer.status_code in {400, 422}, content
        assert answer.headers["content-type"] == "application/problem+json"


async def test_what_came_through_envoy_finds_nothing_here(socket: httpx.AsyncClient, routes: Routes) -> None:
    for header in ("x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address"):
        for method, path in (("GET", "/control/routes"), ("DELETE", "/control/routes/course")):
            assert (await socket.request(method, path, headers={header: "127.0.0.1"})).status_code == 404
    assert len((await routes.table()).routes) == 3
