"""The course list: what it shows, how it is narrowed, how it is walked through."""

from urllib.parse import parse_qs, urlsplit

from .conftest import SITE, Site
from .markup import Page


async def test_the_list_shows_twenty_courses_and_how_many_there_are(site: Site) -> None:
    page = Page((await site.get("/courses", accept_language="en")).text)

    assert page.texts("h2", class_="title") == [course.title for course in site.learning.courses[:20]]
    assert page.texts("p", class_="count") == ["45 courses"]


async def test_a_page_costs_one_call(site: Site) -> None:
    for path in ("/", "/courses", f"/courses/{site.learning.courses[0].slug}"):
        site.learning.requests.clear()

        await site.get(path)

        assert len(site.learning.requests) == 1


async def test_the_pager_walks_to_the_end_without_script(site: Site) -> None:
    path, seen = "/courses?price=free", []
    while path:
        page = Page((await site.get(path)).text)
        seen += page.texts("h2", class_="title")
        path = next((link.attributes["href"] for link in page.all("a", rel="next")), "")

    assert seen == [course.title for course in site.learning.courses if not course.price]
    assert page.one("a", rel="first").attributes["href"] == "/courses?price=free"


async def test_every_filter_reaches_the_service_and_stays_in_the_form(site: Site) -> None:
    answer = await site.get("/courses?q=파이썬&category=programming&level=beginner&language=ko&price=free&sort=popular")

    asked = parse_qs(urlsplit(site.learning.requests[-1]).query)
    assert asked == {
        "q": ["파이썬"],
        "category": ["programming"],
        "level": ["beginner"],
        "language": ["ko"],
        "price": ["free"],
        "sort": ["popular"],
    }
    page = Page(answer.text)
    checked = {
        field.attributes["name"]: field.attributes["value"]
        for field in page.all("input")
        if "checked" in field.attributes
    }
    assert checked == {"category": "programming", "level": "beginner", "language": "ko", "price": "free"}
    hidden = {field.attributes["name"]: field.attributes["value"] for field in page.all("input", type="hidden")}
    assert hidden == {"q": "파이썬", "sort": "popular"}


async def test_a_chip_takes_one_filter_away_and_goes_to_the_first_page(site: Site) -> None:
    page = Page((await site.get("/courses?category=data&price=paid&after=WzFd", accept_language="en")).text)

    chips = {chip.text.strip(): chip.attributes["href"] for chip in page.all("a", class_="chip")}
    assert chips == {"Remove: Data": "/courses?price=paid", "Remove: Paid": "/courses?category=data"}


async def test_what_nobody_offers_counts_as_not_said(site: Site) -> None:
    answer = await site.get("/courses?level=expert&language=fr&price=-1&sort=random&category=A%00b&q=%20%00%20")

    assert answer.status_code == 200
    assert urlsplit(site.learning.requests[-1]).query == ""


async def test_an_empty_result_says_so_and_leads_on(site: Site) -> None:
    page = Page((await site.get("/courses?q=nothing-like-it", accept_language="ko")).text)

    assert "조건에 모두 맞는 강의가 없어요" in page.texts("h2")
    assert "모든 강의 보기" in page.texts("a", class_="primary")
    assert not list(page.all("nav", class_="pager"))


async def test_a_place_that_is_no_more_leads_to_the_start_of_the_same_list(site: Site) -> None:
    answer = await site.get("/courses?category=data&after=nonsense")

    assert (answer.status_code, answer.headers["location"]) == (303, "/courses?category=data")


async def test_a_trailing_slash_is_taken_away_and_the_query_kept(site: Site) -> None:
    listed = await site.get("/courses/?category=data&q=a%20b")
    one = await site.get("/courses/판다스/?x=1")

    assert (listed.status_code, listed.headers["location"]) == (308, "/courses?category=data&q=a%20b")
    assert (one.status_code, one.headers["location"]) == (308, "/courses/%ED%8C%90%EB%8B%A4%EC%8A%A4?x=1")


async def test_the_canonical_address_is_of_the_list_as_narrowed(site: Site) -> None:
    answer = await site.get("/courses?price=free&category=data&utm_source=x")

    assert (
        Page(answer.text).one("link", rel="canonical").attributes["href"] == f"{SITE}/courses?category=data&price=free"
    )


async def test_a_course_in_another_language_says_so(site: Site) -> None:
    korean = Page((await site.get("/courses", accept_language="ko")).text)
    english = Page((await site.get("/courses", accept_language="en")).text)

    assert all(text.startswith("영어") for text in _facts(korean, site, "en"))
    assert all(text.startswith("Korean") for text in _facts(english, site, "ko"))
    assert not any(text.startswith("English") for text in _facts(english, site, "en"))


async def test_home_shows_what_many_learn_and_leads_to_the_courses(site: Site) -> None:
    page = Page((await site.get("/", accept_language="ko")).text)

    most = sorted(site.learning.courses, key=lambda course: -course.learners)[:8]
    assert page.texts("h3", class_="title") == [course.title for course in most]
    assert "/courses" in [link.attributes["href"] for link in page.all("a", class_="primary")]


def _facts(page: Page, site: Site, language: str) -> list[str]:
    facts = page.texts("p", class_="facts")
    found = [
        fact for fact, course in zip(facts, site.learning.courses[:20], strict=True) if course.language == language
    ]
    assert found
    return found
