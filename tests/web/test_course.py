"""The course page: what it says of a course, to people and to machines."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from banyan.contracts.learning import Course

from .conftest import SITE, Site
from .markup import Page


def _address(course: Course) -> str:
    return f"/courses/{quote(course.slug)}"


async def test_the_page_shows_outcomes_curriculum_and_instructor(site: Site) -> None:
    course = site.learning.courses[0]

    page = Page((await site.get(_address(course), accept_language="ko")).text)

    assert page.texts("h1") == [course.title]
    lessons = [lesson for section in course.sections for lesson in section.lessons]
    assert page.texts("span", class_="lesson-title") == [lesson.title for lesson in lessons]
    assert page.texts("span", class_="chapter-title") == [section.title for section in course.sections]
    assert page.texts("span", class_="preview") == ["미리보기"] * sum(lesson.preview for lesson in lessons)
    shown = " ".join(page.one("main").text.split())
    assert all(outcome in shown for outcome in course.outcomes)
    assert course.instructor in page.texts("strong")


async def test_prices_dates_and_durations_are_as_people_of_the_language_write_them(site: Site) -> None:
    course = replace(
        site.learning.courses[0],
        price=33_000,
        duration_seconds=4800,
        learners=1234,
        updated_at=datetime(2026, 11, 21, 16, tzinfo=UTC),
    )
    site.learning.courses[0] = course

    korean = " ".join(Page((await site.get(_address(course), accept_language="ko")).text).one("main").text.split())
    english = " ".join(Page((await site.get(_address(course), accept_language="en")).text).one("main").text.split())

    assert all(text in korean for text in ("₩33,000", "1시간 20분", "수강생 1,234명", "2026년 11월 22일"))
    assert all(text in english for text in ("₩33,000", "1 hr 20 min", "1,234 learners", "November 22, 2026"))


async def test_a_free_course_says_free_in_words(site: Site) -> None:
    course = next(course for course in site.learning.courses if not course.price)

    page = Page((await site.get(_address(course), accept_language="ko")).text)

    assert all(price.startswith("무료") for price in page.texts("p", class_="price"))


async def test_the_page_promises_no_enrolment_it_cannot_give(site: Site) -> None:
    course = next(course for course in site.learning.courses if course.price)

    page = Page((await site.get(_address(course), accept_language="en")).text)

    main = [element for element in page.elements if "main" in element.inside]
    assert "paying opens soon" in page.one("p", class_="enrol-soon").text
    assert not [element for element in main if element.tag in ("form", "button")]
    targets = {element.attributes.get("id") for element in page.elements}
    fragments = [link.attributes["href"] for link in page.all("a") if link.attributes["href"].startswith("#")]
    assert fragments
    assert all(fragment[1:] in targets for fragment in fragments)


async def test_machines_read_the_course_as_schema_org(site: Site) -> None:
    course = site.learning.courses[0]

    page = Page((await site.get(_address(course))).text)

    data = json.loads(page.one("script", type="application/ld+json").text)
    assert (data["@type"], data["name"], data["inLanguage"]) == ("Course", course.title, course.language)
    assert data["offers"]["price"] == course.price
    assert data["url"] == page.one("link", rel="canonical").attributes["href"] == SITE + _address(course)


async def test_the_course_is_marked_with_its_own_language(site: Site) -> None:
    course = next(course for course in site.learning.courses if course.language == "en")

    page = Page((await site.get(_address(course), accept_language="ko")).text)

    assert page.one("html").attributes["lang"] == "ko"
    assert page.one("h1").attributes["lang"] == "en"


@pytest.mark.parametrize("slug", ["no-such-course", "%2e%2e", "a%2fb", "%00", "%ff%fe", "x" * 3000])
async def test_an_unknown_course_is_a_clear_404(site: Site, slug: str) -> None:
    answer = await site.get(f"/courses/{slug}", accept_language="ko")

    assert answer.status_code == 404
    assert "찾을 수 없어요" in answer.text or "페이지가 없어요" in answer.text


async def test_a_course_with_almost_nothing_in_it_still_makes_a_page(site: Site) -> None:
    course = replace(
        site.learning.courses[0], summary="", description="", outcomes=[], sections=[], category="new-kind"
    )
    site.learning.courses[0] = replace(course, instructor="", learners=0, duration_seconds=0, lessons=0)

    answer = await site.get(_address(course), accept_language="en")

    assert answer.status_code == 200
    assert "new kind" in answer.text


async def test_the_cover_is_the_same_for_ever_and_its_own(site: Site) -> None:
    first, second = site.learning.courses[0], site.learning.courses[1]

    drawn = [
        (await site.get(_address(course))).text.split('<svg class="cover')[1].split("</svg>")[0]
        for course in (first, first, second)
    ]

    assert drawn[0] == drawn[1] != drawn[2]
