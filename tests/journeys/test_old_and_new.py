"""A visitor of the demo who never notices which side answers, and an operator who moves routes by mouse."""

from collections.abc import Iterator

import pytest
from playwright.async_api import Response, expect

from . import browser
from .front_door import FrontDoor, banyan_up


@pytest.fixture(scope="module")
def demo() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as door:
        yield door


def side(answer: Response | None) -> str | None:
    assert answer is not None
    return answer.headers.get("x-banyan-side")


@pytest.mark.parametrize(
    ("locale", "heading", "lang"), [("ko-KR", "강의", "ko"), ("en-US", "Courses", "en")], ids=["ko", "en"]
)
@pytest.mark.parametrize("width", [360, 1280])
async def test_from_an_old_page_to_a_new_course_and_back(
    demo: FrontDoor, locale: str, heading: str, lang: str, width: int
) -> None:
    async with browser.visitor(locale=locale, width=width) as visitor:
        page = visitor.page
        assert side(await page.goto(demo.url)) == "old"
        await visitor.screenshot("1-old-home")

        async with page.expect_navigation() as moved:
            await page.locator("a[href='/courses'], a[href^='/courses?']").first.click()
        assert side(await moved.value) == "new"
        await expect(page.get_by_role("heading", level=1)).to_contain_text(heading)
        assert await page.locator("html").get_attribute("lang") == lang
        await visitor.screenshot("2-new-list")

        async with page.expect_navigation() as opened:
            await page.locator("main a[href^='/courses/']").first.click()
        assert side(await opened.value) == "new"
        await expect(page.get_by_role("heading", level=1)).not_to_be_empty()
        await visitor.screenshot("3-new-course", whole_page=True)

        async with page.expect_navigation() as back:
            await page.locator("header a[href='/']").first.click()
        assert side(await back.value) == "old"
        await visitor.screenshot("4-old-again")


async def test_the_language_switch_keeps_the_page_and_stays(demo: FrontDoor) -> None:
    async with browser.visitor(locale="en-US") as visitor:
        page = visitor.page
        await page.goto(f"{demo.url}/courses?level=beginner")
        await page.get_by_role("link", name="한국어").first.click()
        await expect(page.locator("html")).to_have_attribute("lang", "ko")
        assert page.url == f"{demo.url}/courses?level=beginner"

        await page.goto(f"{demo.url}/courses")
        await expect(page.locator("html")).to_have_attribute("lang", "ko")


async def test_the_same_slug_is_the_same_course_on_both_sides(demo: FrontDoor) -> None:
    async with browser.visitor(locale="ko-KR") as visitor:
        page = visitor.page
        await page.goto(f"{demo.url}/courses")
        link = page.locator("main a[href^='/courses/']").first
        path = await link.get_attribute("href")
        assert path is not None
        await page.goto(demo.url + path)
        title = await page.get_by_role("heading", level=1).inner_text()

        demo.banyan("route", "set", "course", "--side", "old")
        try:
            assert side(await page.goto(demo.url + path)) == "old"
            assert " ".join(title.split()) in " ".join((await page.locator("body").inner_text()).split())
        finally:
            demo.banyan("route", "set", "course", "--side", "new")


async def test_an_operator_moves_a_route_back_and_forth_by_mouse(demo: FrontDoor) -> None:
    async with browser.visitor(locale="en-US", width=1600) as operator:
        page = operator.page
        await page.goto(f"{demo.url}/_banyan/console")
        await page.locator("main input[type=email]").fill("operator@banyan.test")
        await page.locator("main input[type=password]").fill("banyan-demo")
        await page.locator("main form button[type=submit]").first.click()
        await expect(page.get_by_role("button", name="Back to old (courses)")).to_be_visible()
        assert page.url == f"{demo.url}/_banyan/console"
        await operator.screenshot("1-console")

        await page.get_by_role("button", name="Back to old (courses)").click()
        there = page.get_by_role("button", name="Move to new (courses)")
        await expect(there).to_be_visible()
        assert side(await _fetch(page, demo)) == "old"
        await operator.screenshot("2-moved")

        await there.click()
        await expect(page.get_by_role("button", name="Back to old (courses)")).to_be_visible()
        assert side(await _fetch(page, demo)) == "new"


async def _fetch(page: browser.Page, demo: FrontDoor) -> Response | None:
    other = await page.context.new_page()
    try:
        return await other.goto(f"{demo.url}/courses")
    finally:
        await other.close()
