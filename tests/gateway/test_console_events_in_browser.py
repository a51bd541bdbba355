"""The console's pages about events in a real browser: in every window, by hand, and without script."""

from dataclasses import replace

from playwright.async_api import expect

from tests.gateway import contexts, monitors
from tests.gateway.contexts import event_id
from tests.gateway.planes import Plane
from tests.gateway.test_console_events import HOSTILE
from tests.gateway.test_console_in_browser import sign_in, url
from tests.gateway.test_console_pages_in_browser import TOO_WIDE, look, supervise_all
from tests.journeys.browser import visitor

WINDOWS = ((360, "ko", True), (360, "en", False), (768, "en", False), (1280, "ko", False), (1440, "en", True))
PAGES = {
    "now": "/events",
    "dead": "/events/dead",
    "letter": "/events/learning/dead/3",
    "search": "/events/search",
    "event": f"/events/iam/stored/{event_id(9)}",
}


async def test_every_page_fits_every_window_whatever_strangers_wrote(plane: Plane) -> None:
    supervise_all(plane)
    assert plane.monitor is not None
    monitors.hung(plane.monitor)  # an alert has its count beside that of the dead letters
    iam, learning, live = contexts.troubled()
    endless = "x" * 3000
    hostile = contexts.letter(7, key=endless, type=HOSTILE + endless, error=endless)
    learning.dead.append(contexts.whole(hostile, body=endless, traceback=endless))
    learning.events.append(replace(contexts.stored(5, "learning", endless, x=endless), key=endless))
    async with contexts.answering(plane.door.settings, iam, learning, live), visitor() as seen:
        await sign_in(seen, plane)
        for width, locale, dark in WINDOWS:
            for name, path in {**PAGES, "hostile": "/events/learning/dead/7"}.items():
                await look(seen, plane, path, width=width, locale=locale, dark=dark)

                await seen.screenshot(f"{name}-{locale}-{width}", whole_page=True)
                assert await seen.page.evaluate(TOO_WIDE) == [], (path, width)
                assert await seen.page.evaluate("document.documentElement.scrollWidth") == width, (path, locale)


async def test_letters_are_tried_again_discarded_and_a_consumer_paused_where_they_stand(plane: Plane) -> None:
    supervise_all(plane)
    iam, learning, live = contexts.troubled()
    async with contexts.answering(plane.door.settings, iam, learning, live), visitor(locale="en-GB") as seen:
        await sign_in(seen, plane)
        page = seen.page
        await page.goto(url(plane) + "/events/dead")
        await page.locator("#redrive-learning-3").click()
        await expect(page.locator("#redrive-learning-3")).not_to_have_attribute("aria-disabled", "true")
        await page.locator("#discard-learning-3").click()
        await seen.screenshot("dialog")
        await page.locator("#discard-dialog button[value=no]").click()
        await page.locator("#discard-learning-3").click()
        learning.dead = learning.dead[:0]
        await page.locator("#discard-dialog button[value=yes]").click()
        await expect(page.locator("#letters")).to_contain_text("No event is dead.")

        await page.goto(url(plane) + "/events")
        await page.locator("#pause-live-from-learning").click()
        live.now = contexts.calm()[2].now
        await expect(page.locator("#consumer-live-from-learning")).to_contain_text("runs")

    asked = [write for write, _ in learning.told] + [write for write, _ in live.told]
    assert asked == ["POST /dead/redrive", "POST /dead/discard", "POST /consumers/live-from-learning/resume"]


async def test_without_script_a_letter_is_discarded_on_a_page_of_its_own(plane: Plane) -> None:
    iam, learning, live = contexts.troubled()
    async with contexts.answering(plane.door.settings, iam, learning, live), visitor(javascript=False) as seen:
        await sign_in(seen, plane)
        page = seen.page
        await page.goto(url(plane) + "/events/learning/dead/3")
        await page.locator("#discard").click()
        await expect(page.locator("#sure-title")).to_have_text("이 이벤트를 아주 버릴까요?")
        await seen.screenshot("sure")
        assert learning.told == []

        await page.locator("form.buttons button.danger").click()
        await expect(page).to_have_url(url(plane) + "/events/dead")

    assert [write for write, _ in learning.told] == ["POST /dead/discard"]
