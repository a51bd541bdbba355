"""Every page of the console in a real browser: it fits every window, in both languages, in light and in dark."""

import pytest
from playwright.async_api import expect

from tests.gateway import monitors
from tests.gateway.conftest import children, supervise
from tests.gateway.monitors import EVERYBODY, TRACE
from tests.gateway.planes import Plane
from tests.gateway.test_console_in_browser import sign_in, url
from tests.journeys.browser import Visitor, visitor

PAGES = ("", "/processes", "/logs", "/traces", f"/traces/{TRACE}", "/events", "/alerts")
WINDOWS = ((360, "ko", True), (768, "en", False), (1280, "ko", False), (1680, "en", True))

TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth && !one.closest(".picture-frame, .tabs, pre"))
  .map((one) => one.outerHTML.slice(0, 100))"""


def supervise_all(plane: Plane, **states: str) -> None:
    supervise(
        plane.door.settings, children(**{name.replace("-", "_"): states.get(name, "ready") for name in EVERYBODY})
    )


async def look(seen: Visitor, plane: Plane, path: str, *, width: int, locale: str, dark: bool) -> None:
    site = url(plane).removesuffix("/_banyan/console")
    await seen.context.add_cookies([{"name": "banyan_locale", "value": locale, "url": site}])
    await seen.page.set_viewport_size({"width": width, "height": 900})
    await seen.page.emulate_media(color_scheme="dark" if dark else "light")
    answer = await seen.page.goto(url(plane) + path)
    assert answer is not None
    assert answer.status == 200, path
    await expect(seen.page.locator("html")).to_have_attribute("lang", locale)


@pytest.mark.parametrize("mood", ["busy", "hung", "empty"])
async def test_every_page_fits_every_window(plane: Plane, mood: str) -> None:
    supervise_all(plane)
    assert plane.monitor is not None
    if mood == "hung":
        monitors.hung(plane.monitor)
    if mood == "empty":
        plane.monitor.__dict__.update(monitors.quiet(*EVERYBODY).__dict__)
    async with visitor(tolerated=[r"404"] if mood == "empty" else []) as seen:
        await sign_in(seen, plane)
        for width, locale, dark in WINDOWS:
            for path in PAGES:
                if mood == "empty" and path.startswith("/traces/"):
                    continue
                await look(seen, plane, path, width=width, locale=locale, dark=dark)

                name = path.strip("/").partition("/")[0] + ("-one" if TRACE in path else "") or "overview"
                await seen.screenshot(f"{name}-{width}", whole_page=True)
                wide = await seen.page.evaluate(TOO_WIDE)
                assert wide == [], (path, width)
