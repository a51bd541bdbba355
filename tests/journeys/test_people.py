"""One learner on both sides: she signs in once, learns, is watched, and signs out of everything."""

import asyncio
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, Response, expect

from . import browser
from .front_door import FrontDoor, banyan_up

EMAIL, PASSWORD = "learner@banyan.test", "banyan-demo"


@pytest.fixture(scope="module")
def demo() -> Iterator[FrontDoor]:
    with banyan_up("--demo") as door:
        yield door


def side(answer: Response | None) -> str | None:
    assert answer is not None
    return answer.headers.get("x-banyan-side")


async def sign_in(page: Page, demo: FrontDoor, *, email: str = EMAIL) -> None:
    await page.goto(f"{demo.url}/login")
    await page.locator("main input[type=email]").fill(email)
    await page.locator("main input[type=password]").fill(PASSWORD)
    async with page.expect_navigation():
        await page.locator("main form button[type=submit]").first.click()


async def count_on(page: Page) -> int:
    text = await page.locator("[data-live-course]").first.inner_text()
    return int("".join(letter for letter in text if letter.isdigit()))


async def free_course(page: Page, demo: FrontDoor, number: int) -> str:
    answer = await page.request.get(f"{demo.url}/_banyan/api/v1/courses?price=free&language=ko&limit=20")
    slug: str = (await answer.json())["items"][number]["slug"]
    return slug


async def test_from_the_old_home_through_a_lesson_and_out_of_both_sides(demo: FrontDoor) -> None:
    async with browser.visitor(locale="ko-KR") as visitor, browser.visitor(locale="en-US") as watcher:
        page = visitor.page
        slug = await free_course(page, demo, 0)
        await watcher.page.goto(f"{demo.url}/courses/{slug}")
        before = await count_on(watcher.page)

        assert side(await page.goto(demo.url)) == "old"
        async with page.expect_navigation() as to_sign_in:
            await page.get_by_role("link", name="로그인").first.click()
        assert side(await to_sign_in.value) == "new"
        await visitor.screenshot("1-sign-in")
        await sign_in(page, demo)

        assert side(await page.goto(demo.url)) == "old"
        await expect(page.get_by_text("로그아웃").first).to_be_visible()

        await page.goto(f"{demo.url}/courses/{slug}")
        async with page.expect_navigation():
            await page.locator("form[action$='/enrolment'] button:visible").first.click()
        await visitor.screenshot("2-enrolled")
        await until_count(watcher.page, before + 1)
        await watcher.screenshot("3-count-rises")

        assert side(await page.goto(f"{demo.url}/learn/{slug}")) == "new"
        await visitor.screenshot("4-lesson")
        await play(page)
        await page.goto(f"{demo.url}/me")
        await expect(page.locator("main progress, main [role=progressbar]").first).to_be_visible()
        await visitor.screenshot("5-my-courses")

        assert side(await page.goto(f"{demo.url}/mypage")) == "old"
        await expect(page.get_by_text("로그아웃").first).to_be_visible()
        async with page.expect_navigation():
            await page.get_by_text("로그아웃").first.click()
        await page.goto(f"{demo.url}/me")
        assert "/login" in page.url
        await page.goto(demo.url)
        await expect(page.get_by_text("로그아웃")).to_have_count(0)


async def play(page: Page) -> None:
    """Watch the lesson's clip, or finish its text, until the server knows."""
    video = page.locator("video")
    if await video.count():
        async with page.expect_response(lambda answer: answer.url.endswith("/progress"), timeout=30_000) as told:
            await video.evaluate("video => { video.muted = true; return video.play(); }")
            await asyncio.sleep(2)
            await video.evaluate("video => video.pause()")
        assert (await told.value).ok
    else:
        async with page.expect_navigation():
            await page.locator("main form button").first.click()


async def until_count(page: Page, wanted: int) -> None:
    for _ in range(100):
        if await count_on(page) == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"the open page still shows {await count_on(page)}, not {wanted}")


async def test_everything_a_learner_needs_works_without_javascript(demo: FrontDoor) -> None:
    async with browser.visitor(locale="ko-KR", javascript=False, width=360) as visitor:
        page = visitor.page
        await sign_in(page, demo, email="instructor@banyan.test")
        slug = await free_course(page, demo, 1)
        await page.goto(f"{demo.url}/courses/{slug}")
        async with page.expect_navigation():
            await page.locator("form[action$='/enrolment'] button:visible").first.click()
        answer = await page.goto(f"{demo.url}/learn/{slug}")
        assert answer is not None
        assert answer.ok
        await visitor.screenshot("1-lesson")
        await page.goto(f"{demo.url}/me")
        await expect(page.locator(f"main a[href*='/learn/{slug}'], main a[href*='/learn/']").first).to_be_visible()


async def test_the_console_wants_the_operator(demo: FrontDoor) -> None:
    async with browser.visitor(locale="en-US", tolerated=["403"]) as visitor:
        page = visitor.page
        await page.goto(f"{demo.url}/_banyan/console")
        assert "/login" in page.url
        await sign_in(page, demo)
        answer = await page.goto(f"{demo.url}/_banyan/console")
        assert answer is not None
        assert answer.status == 403
        await page.context.clear_cookies()
        await sign_in(page, demo, email="operator@banyan.test")
        answer = await page.goto(f"{demo.url}/_banyan/console")
        assert answer is not None
        assert answer.ok
