"""One route of a running WordPress moves to Banyan and back, while WordPress serves the rest."""

import json
from collections.abc import Iterator

import httpx
import pytest

from .front_door import FrontDoor
from .wordpress import WordPress

pytestmark = pytest.mark.xdist_group("wordpress")

REST_OF_THE_SITE = ("/", "/sample-page/", "/wp-login.php", "/wp-json/", "/courses-of-2012/", "/courses.html")
WORDPRESS_LINK = 'rel="https://api.w.org/"'


@pytest.fixture
def moved(door: FrontDoor) -> Iterator[FrontDoor]:
    """Banyan answering `/courses`."""
    door.banyan("route", "set", "courses", "--side", "new")
    yield door
    door.banyan("gateway", "kill-switch", "off")
    door.banyan("route", "set", "courses", "--side", "old")


def test_before_anything_is_moved_everything_is_wordpress(door: FrontDoor) -> None:
    for path in ("/courses", "/courses/some-course", "/api/v1/courses", "/login", "/oauth2/", *REST_OF_THE_SITE):
        assert _side(door, path) == "old", path
    sides = {row["name"]: row["side"] for row in json.loads(door.banyan("route", "ls", "--json"))}
    assert sides.keys() >= {"courses", "course", "api", "login", "me"}
    assert set(sides.values()) == {"old"}


def test_a_moved_route_is_answered_by_banyan_and_the_rest_by_wordpress(moved: FrontDoor, old_site: WordPress) -> None:
    asked = old_site.access_log.count('"GET /courses ')

    page = httpx.get(f"{moved.url}/courses", headers={"Accept-Language": "ko"})
    assert (page.status_code, page.headers["x-banyan-side"]) == (200, "new")
    assert "강의" in page.text
    assert WORDPRESS_LINK not in page.headers.get("link", "")
    assert old_site.access_log.count('"GET /courses ') == asked
    for path in REST_OF_THE_SITE:
        assert _side(moved, path) == "old", path


def test_a_route_moved_back_is_wordpress_again_at_once(moved: FrontDoor) -> None:
    assert _side(moved, "/courses") == "new"

    moved.banyan("route", "set", "courses", "--side", "old")
    page = httpx.get(f"{moved.url}/courses")
    assert (page.status_code, page.headers["x-banyan-side"]) == (404, "old")
    assert WORDPRESS_LINK in page.headers["link"]


def test_the_kill_switch_gives_wordpress_its_route_back(moved: FrontDoor) -> None:
    moved.banyan("gateway", "kill-switch", "on")
    assert _side(moved, "/courses") == "old"

    moved.banyan("gateway", "kill-switch", "off")
    assert _side(moved, "/courses") == "new"


def test_banyan_answers_only_below_its_own_prefix_for_itself(door: FrontDoor) -> None:
    health = httpx.get(f"{door.url}/_banyan/health")

    assert health.status_code == 200
    assert health.headers["x-banyan-side"] in ("new", "gateway")


def _side(door: FrontDoor, path: str) -> str:
    side: str = httpx.get(f"{door.url}{path}").headers["x-banyan-side"]
    return side
