"""The pages in a real browser: they fit, they can be read, reached by keyboard, and break no rule of their own."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, async_playwright

from banyan.contracts.identity import SESSION_COOKIE, SESSION_HEADER

from .iam_standin import PASSWORD, SPENT
from .identities import Person
from .standin import LearningStandIn

CHROMIUM = "/usr/bin/chromium"
LONG_KOREAN = (
    "처음부터 끝까지 실무 프로젝트로 배우는 파이썬 데이터 분석과 머신러닝 그리고 대규모 서비스 운영 완전 정복 2026년판"
)
LONG_WORD = "Pneumonoultramicroscopicsilicovolcanoconiosis_and_everything_else_you_ever_wanted_to_know_about_it"

# The contrast of each text on what is painted below it, as the browser computed the colours.
CONTRAST = Path(__file__).with_name("contrast.js").read_text()
CONTROLS = "a, button, summary, .choice, input:not([type=radio], [type=checkbox], [type=hidden])"
SMALL_TARGETS = f"""() => [...document.querySelectorAll('{CONTROLS}')]
    .filter(e => e.checkVisibility() && !e.closest('.only-read-aloud, .title, p.course-by') && !e.matches('.skip-link'))
    .filter(e => e.getBoundingClientRect().height < 44 || e.getBoundingClientRect().width < 24)
    .map(e => [e.className, e.textContent.trim(), e.getBoundingClientRect().height].join(' '))"""


@dataclass
class Visit:
    base: str
    learning: LearningStandIn
    browser: Browser

    @property
    def paths(self) -> list[str]:
        course = f"/courses/{quote(self.learning.courses[1].slug)}"
        return [
            "/",
            "/courses",
            "/courses?category=data&price=free&q=xyzzy",
            "/courses?after=WzIwXQ",
            course,
            "/nowhere",
            "/login",
            "/login?done=password",
            "/signup",
            "/reset",
            "/reset/a-link",
            f"/reset/{SPENT}",
        ]

    @property
    def own_paths(self) -> list[str]:
        """What somebody sees who is signed in."""
        courses = self.learning.courses
        self.learning.enrolled = [courses[1].slug, courses[4].slug]
        self.learning.percents = {lesson.id: 50 for lesson in courses[4].sections[0].lessons}
        lessons = [lesson for section in courses[1].sections for lesson in section.lessons]
        room = f"/learn/{quote(courses[1].slug)}"
        kinds = [f"{room}/{next(one.id for one in lessons if one.kind == kind)}" for kind in ("video", "text")]
        return [
            "/courses",
            "/me",
            "/account",
            "/account?done=name",
            f"/courses/{quote(courses[1].slug)}",
            "/logout",
            *kinds,
        ]

    async def page(
        self,
        width: int,
        locale: str = "ko",
        scheme: str = "light",
        *,
        script: bool = True,
        person: Person | None = None,
    ) -> Page:
        context = await self.browser.new_context(
            viewport={"width": width, "height": 800},
            locale=locale,
            color_scheme=scheme,
            has_touch=width < 600,
            is_mobile=width < 600,
            reduced_motion="reduce",
            java_script_enabled=script,
            extra_http_headers={SESSION_HEADER: person.session_id} if person else None,
        )
        if person:
            await context.add_cookies([{"name": SESSION_COOKIE, "value": person.token, "url": self.base}])
        return await context.new_page()


@pytest.fixture
async def visit(address: tuple[str, LearningStandIn]) -> AsyncIterator[Visit]:
    if shutil.which(CHROMIUM) is None:
        reason = f"{CHROMIUM} is not installed"
        if os.environ.get("BANYAN_NO_SKIP") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    base, learning = address
    learning.courses[0] = replace(learning.courses[0], title=LONG_WORD, instructor=LONG_WORD, price=99_999_999)
    learning.courses[1] = replace(learning.courses[1], title=LONG_KOREAN, summary=LONG_KOREAN, learners=1_234_567)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield Visit(base, learning, browser)
        await browser.close()


@contextmanager
def _watched(page: Page) -> Iterator[None]:
    """Fails where the browser complained: of the policy, of a script, of a file that is not there."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda fault: said.append(str(fault)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    yield
    assert [text for text in said if "status of 404" not in text] == []


@pytest.mark.parametrize(("width", "locale"), [(360, "ko"), (768, "en"), (1280, "ko")])
async def test_every_page_fits_its_window_and_the_browser_has_nothing_to_say(
    visit: Visit, width: int, locale: str
) -> None:
    page = await visit.page(width, locale)

    with _watched(page):
        for path in visit.paths:
            await page.goto(visit.base + path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert await page.evaluate("document.querySelectorAll('h1').length") == 1, path


@pytest.mark.parametrize(
    ("width", "locale", "scheme"), [(360, "ko", "dark"), (768, "en", "light"), (1280, "en", "dark")]
)
async def test_the_pages_of_a_person_fit_can_be_read_and_touched(
    visit: Visit, width: int, locale: str, scheme: str
) -> None:
    page = await visit.page(width, locale, scheme, person=Person(name=LONG_KOREAN[:50]))

    with _watched(page):
        for path in visit.own_paths:
            await page.goto(visit.base + path)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert await page.evaluate("document.querySelectorAll('h1').length") == 1, path
            for opened in await page.locator("details.who, details.leave").all():
                await opened.evaluate("details => { details.open = true; }")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert await page.evaluate(CONTRAST) == [], path
            assert width > 600 or await page.evaluate(SMALL_TARGETS) == [], path


async def test_the_keyboard_alone_signs_in(visit: Visit) -> None:
    page = await visit.page(1280)
    await page.goto(visit.base + "/login?next=/courses")

    assert await page.evaluate("document.activeElement.id") == "email"
    await page.keyboard.type("learner@banyan.test")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")

    await page.wait_for_url(visit.base + "/courses")
    assert {cookie["name"] for cookie in await page.context.cookies()} >= {SESSION_COOKIE, "banyan_ref"}


async def test_the_keyboard_walks_through_lessons_and_escape_closes_the_menu(visit: Visit) -> None:
    page = await visit.page(1280, person=Person())
    *_, video, _ = visit.own_paths
    await page.goto(visit.base + video)
    here = page.url

    await page.keyboard.press("n")
    await page.wait_for_url(lambda address: address != here)
    await page.keyboard.press("p")
    await page.wait_for_url(here)

    await page.goto(visit.base + "/me")
    await page.click("details.who summary")
    await page.keyboard.press("Escape")
    assert await page.get_attribute("details.who", "open") is None


async def test_the_curriculum_of_a_phone_is_a_drawer_that_needs_no_script(visit: Visit) -> None:
    page = await visit.page(360, script=False, person=Person())
    *_, text = visit.own_paths
    await page.goto(visit.base + text)
    assert not await page.is_visible("#curriculum")

    await page.tap(".room-open")

    assert await page.is_visible("#curriculum [aria-current]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_stands_out_from_what_is_below_it(visit: Visit, scheme: str) -> None:
    page = await visit.page(1280, "ko", scheme)

    for path in visit.paths:
        await page.goto(visit.base + path)
        assert await page.evaluate(CONTRAST) == [], path


async def test_a_finger_finds_every_control_of_a_phone(visit: Visit) -> None:
    page = await visit.page(360)

    for path in visit.paths:
        await page.goto(visit.base + path)
        assert await page.evaluate(SMALL_TARGETS) == [], path
    await page.goto(visit.base + "/courses")
    await page.tap(".filters-open")
    assert await page.evaluate(SMALL_TARGETS) == []


async def test_the_filters_of_a_phone_open_narrow_and_close_without_script(visit: Visit) -> None:
    page = await visit.page(360, script=False)
    await page.goto(visit.base + "/courses")
    assert not await page.is_visible("#filters")

    await page.tap(".filters-open")
    await page.get_by_label("데이터", exact=True).check()
    await page.get_by_role("button", name="강의 보기").tap()

    await page.wait_for_url("**/courses?category=data*")
    assert await page.locator("h1").inner_text() == "데이터"
    await page.go_back()
    assert await page.locator("h1").inner_text() == "강의"


async def test_a_click_on_a_filter_narrows_at_once_and_an_arrow_key_does_not(visit: Visit) -> None:
    page = await visit.page(1280)
    await page.goto(visit.base + "/courses")

    await page.get_by_label("무료", exact=True).click()
    await page.wait_for_url("**/courses?price=free")

    await page.get_by_label("무료", exact=True).focus()
    await page.keyboard.press("ArrowDown")
    await page.wait_for_timeout(150)
    assert page.url.endswith("/courses?price=free")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/courses?price=paid")


async def test_the_keyboard_reaches_content_search_and_courses_with_the_focus_in_sight(visit: Visit) -> None:
    page = await visit.page(1280)
    await page.goto(visit.base + "/courses")

    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip-link"
    assert (await page.locator(".skip-link").bounding_box() or {"y": -1})["y"] >= 0
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"

    reached = []
    for _ in range(28):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate(FOCUSED))
    assert [tag for tag, outline in reached if outline == "none"] == []
    assert any(tag.startswith("A /courses/") for tag, _ in reached)


async def test_the_colours_change_without_loading_and_are_remembered(visit: Visit) -> None:
    page = await visit.page(1280)
    await page.goto(visit.base + "/courses")
    asked = len(visit.learning.requests)

    await page.click("[data-theme-switch]")
    await page.click("[data-theme-switch]")

    assert await page.get_attribute("html", "data-theme") == "dark"
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 17)"
    assert len(visit.learning.requests) == asked
    await page.goto(visit.base + "/")
    assert await page.get_attribute("html", "data-theme") == "dark"


async def test_nothing_that_an_instructor_writes_runs(visit: Visit) -> None:
    evil = '</script><script>alert(1)</script>"><img src=x onerror=alert(2)>'
    visit.learning.courses[0] = replace(
        visit.learning.courses[0], slug="evil", title=evil, summary=evil, instructor=evil, outcomes=[evil]
    )
    page = await visit.page(1280)

    with _watched(page):
        for path in ("/courses", "/courses/evil", f"/courses?q={quote(evil)}"):
            await page.goto(visit.base + path)
            assert await page.evaluate("document.querySelectorAll('img, script:not([src]):not([type])').length") == 0


FOCUSED = """() => {
  const at = document.activeElement, own = getComputedStyle(at).outlineStyle;
  const around = getComputedStyle(at, '::after').outlineStyle, label = at.closest('.choice');
  const shown = [own, around, label ? getComputedStyle(label).outlineStyle : 'none'].find(style => style !== 'none');
  return [`${at.tagName} ${at.getAttribute('href') || at.name || ''}`, shown || 'none'];
}"""
