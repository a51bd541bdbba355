"""Programs use WordPress's REST API through Banyan: methods, headers, nonces and links are WordPress's own."""

import re
from collections.abc import Iterator

import httpx
import pytest

from .front_door import FrontDoor
from .wordpress import WordPress

pytestmark = pytest.mark.xdist_group("wordpress")


@pytest.fixture
def editor(old_site: WordPress, door: FrontDoor) -> Iterator[httpx.Client]:
    """A signed-in client that knows its REST nonce, as a script in wp-admin does."""
    with httpx.Client(base_url=door.url, timeout=60) as client:
        client.get("/wp-login.php")
        client.post("/wp-login.php", data={"log": old_site.user, "pwd": old_site.password})
        client.headers["X-WP-Nonce"] = client.get("/wp-admin/admin-ajax.php?action=rest-nonce").text
        yield client


def test_a_post_is_made_changed_and_deleted_by_its_own_api(editor: httpx.Client, door: FrontDoor) -> None:
    made = editor.post("/wp-json/wp/v2/posts", json={"title": "강의 소개", "content": "하나", "status": "publish"})
    assert made.status_code == 201
    address = made.headers["location"]
    assert re.fullmatch(re.escape(door.url) + r"/wp-json/wp/v2/posts/\d+", address)
    assert made.json()["link"].startswith(f"{door.url}/")

    changed = editor.put(address, json={"content": "둘"})
    assert changed.json()["content"]["raw"] == "둘"
    assert "<p>둘</p>" in httpx.get(address).json()["content"]["rendered"]

    deleted = editor.delete(address, params={"force": "true"})
    assert deleted.json()["deleted"] is True
    assert httpx.get(address).status_code == 404


def test_lists_keep_their_paging_headers(door: FrontDoor) -> None:
    answer = httpx.get(f"{door.url}/wp-json/wp/v2/categories", params={"per_page": 1})

    assert answer.headers["x-wp-total"] == "1"
    assert answer.headers["x-wp-totalpages"] == "1"
    assert answer.json()[0]["link"] == f"{door.url}/category/uncategorized/"


def test_the_api_describes_itself_under_the_public_url(door: FrontDoor) -> None:
    answer = httpx.get(f"{door.url}/wp-json")

    assert (answer.json()["url"], answer.json()["home"]) == (door.url, door.url)
    assert f'<{door.url}/wp-json/>; rel="https://api.w.org/"' in httpx.get(door.url).headers["link"]


def test_a_write_without_a_nonce_is_refused_by_wordpress_itself(editor: httpx.Client) -> None:
    del editor.headers["X-WP-Nonce"]

    answer = editor.post("/wp-json/wp/v2/posts", json={"title": "x"})
    assert (answer.status_code, answer.json()["code"]) == (401, "rest_cannot_create")
