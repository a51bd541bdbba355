"""The console in a real browser: with and without script, in both languages, and when its process dies."""

import pytest
from playwright.async_api import expect

from tests.gateway.conftest import children, supervise
from tests.gateway.planes import Plane
from tests.journeys.browser import Visitor, visitor


async def sign_in(seen: Visitor, plane: Plane) -> None:
    token = plane.iam.token(roles="operator")
    ours = {"banyan_session": token, "banyan_fresh": "1", "banyan_ref": "r" * 43}
    site = f"http://127.0.0.1:{plane.door.settings.port}"
    await seen.context.add_cookies([{"name": name, "value": value, "url": site} for name, value in ours.items()])


def url(plane: Plane) -> str:
    return f"http://127.0.0.1:{plane.door.settings.port}/_banyan/console"


@pytest.mark.parametrize(
    ("locale", "dark", "width"), [("ko-KR", False, 1280), ("en-GB", True, 1920), ("ko-KR", True, 360)]
)
async def test_it_fits_its_window(plane: Plane, locale: str, dark: bool, width: int) -> None:
    async with visitor(locale=locale, dark=dark, width=width, height=1000) as seen:
        await sign_in(seen, plane)
        await seen.page.goto(url(plane))

        await expect(seen.page.locator("#routes tbody tr")).to_have_count(13)
        assert await seen.page.evaluate("document.documentElement.scrollWidth") == width
        await seen.screenshot(f"{locale[:2]}-{'dark' if dark else 'light'}-{width}", whole_page=True)


async def test_a_button_moves_a_route_and_nothing_else_moves(plane: Plane) -> None:
    async with visitor(locale="en-GB", height=500) as seen:
        await sign_in(seen, plane)
        page = seen.page
        await page.goto(url(plane))
        await page.locator("#requests-table summary").click()
        await page.locator("#move-course").scroll_into_view_if_needed()
        before = await page.evaluate("scrollY")

        await page.locator("#move-course").click()

        await expect(page.locator("#route-course .side")).to_have_text("old")
        await expect(page.locator("#move-course")).to_be_focused()
        await expect(page.locator("#requests-table")).to_have_attribute("open", "")
        assert await page.evaluate("scrollY") == before > 0
        assert await plane.side("/courses/x") == "old"


async def test_what_changes_elsewhere_appears_by_itself(plane: Plane) -> None:
    async with visitor(locale="en-GB") as seen:
        await sign_in(seen, plane)
        await seen.page.goto(url(plane))
        await expect(seen.page.locator("#trouble")).to_contain_text("Nothing is wrong.")

        assert (await plane.banyan("route", "set", "courses", "--side", "old"))[0] == 0
        supervise(plane.door.settings, children(envoy="ready", web="failing"))

        await expect(seen.page.locator("#route-courses .side")).to_have_text("old")
        await expect(seen.page.locator("#trouble")).to_contain_text("web: keeps dying")


async def test_every_button_works_without_script(plane: Plane) -> None:
    async with visitor(locale="ko-KR", javascript=False) as seen:
        await sign_in(seen, plane)
        page = seen.page
        await page.goto(url(plane))

        await page.locator("#move-course").click()
        await expect(page.locator("#route-course .side")).to_have_text("기존")

        await page.locator("#kill-switch").click()
        await expect(page.locator("#trouble")).to_contain_text("긴급 전환이 켜져 있어요.")
        assert await plane.side("/courses") == "old"
        await seen.screenshot("kill-switch-on")

        await page.locator("#kill-switch").click()
        await expect(page.locator("#trouble")).to_contain_text("문제없어요.")
        assert await plane.side("/courses") == "new"


async def test_it_says_when_its_own_process_is_gone_and_recovers(plane: Plane) -> None:
    async with visitor(locale="en-GB", tolerated=[r"Failed to load resource"]) as seen:
        await sign_in(seen, plane)
        await seen.page.goto(url(plane))
        await plane.kill()

        await expect(seen.page.locator("#cut-off")).to_be_visible()

        await plane.start()
        await expect(seen.page.locator("#cut-off")).to_be_hidden()
