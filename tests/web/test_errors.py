"""What the pages say when something is not there, away or wrong."""

import httpx
import pytest

from banyan.contracts.learning import Course

from .conftest import Site
from .markup import Page


async def test_an_unknown_path_is_a_page_in_the_readers_language_with_the_number_of_the_request(site: Site) -> None:
    korean = await site.get("/nowhere", accept_language="ko", x_request_id="abc-123")
    english = await site.get("/nowhere", accept_language="en")

    assert (korean.status_code, english.status_code) == (404, 404)
    assert Page(korean.text).texts("h1") == ["이 주소에는 페이지가 없어요"]
    assert Page(korean.text).texts("code") == ["abc-123"]
    assert Page(english.text).texts("h1") == ["There is no page at this address"]
    assert not Page(english.text).texts("code")


async def test_an_unknown_path_of_the_api_is_a_problem_document(site: Site) -> None:
    answer = await site.get("/api/v1/nowhere", x_request_id="abc-123")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == "abc-123"


@pytest.mark.parametrize("path", ["/courses", "/courses/anything"])
async def test_while_learning_is_away_a_page_says_so_and_when_to_come_back(
    lonely: httpx.AsyncClient, path: str
) -> None:
    answer = await lonely.get(path, headers={"accept-language": "ko", "x-request-id": "r-1"})

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    page = Page(answer.text)
    assert page.texts("h1") == ["지금은 강의를 불러올 수 없어요"]
    assert [link.attributes["href"] for link in page.all("a", class_="primary")] == [path]
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"]


async def test_home_and_readiness_do_not_need_learning(lonely: httpx.AsyncClient) -> None:
    home = await lonely.get("/", headers={"accept-language": "en"})
    ready = await lonely.get("/ready")

    assert (home.status_code, ready.status_code) == (200, 204)
    assert "They are safe; try again in a moment." in home.text


async def test_a_fault_of_ours_shows_no_trace_of_it(site: Site, courses: list[Course]) -> None:
    site.app.add_route("/broken", _broken)

    answer = await site.get("/broken", accept_language="en", x_request_id="r-2")

    assert answer.status_code == 500
    assert Page(answer.text).texts("h1") == ["Something of ours broke"]
    assert Page(answer.text).texts("code") == ["r-2"]
    assert "secret detail" not in answer.text


async def test_a_method_that_no_page_has_changes_nothing(site: Site) -> None:
    answer = await site.visitor.post("/courses?lang=ko", content=b"x=1")

    assert answer.status_code == 405
    assert "set-cookie" not in answer.headers
    assert Page(answer.text).texts("h1") == ["This request cannot be answered"]


async def test_head_is_answered_like_get_without_a_body(site: Site) -> None:
    answer = await site.visitor.head("/courses")

    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 1000


async def _broken(request: object) -> None:
    raise RuntimeError("secret detail")
