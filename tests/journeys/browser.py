"""Debian's Chromium as a visitor of the journeys: it complains about what a developer would see in its console."""

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from playwright.async_api import BrowserContext, ConsoleMessage, Error, Page, async_playwright, expect

from . import needs

ARTEFACTS = Path(__file__).parents[2] / "artefacts"
PATIENCE = 30_000  # milliseconds; the machine may be busy with other tests
expect.set_options(timeout=PATIENCE)
ARGUMENTS = (
    "--no-sandbox",  # Chromium refuses its sandbox to root, and containers refuse it to Chromium
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # nothing leaves the machine
)


class Visitor:
    """A person at a browser, with a page open. `complaints` are its console errors and refused content."""

    def __init__(self, context: BrowserContext, page: Page, folder: Path, name: str) -> None:
        self.context = context
        self.page = page
        self.complaints: list[str] = []
        self._folder = folder
        self._name = name
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))

    async def screenshot(self, step: str, *, whole_page: bool = False) -> Path:
        """Keep a picture as `artefacts/<test file>/<test>-<step>.png`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._name}-{step}.png"
        await self.page.screenshot(path=path, full_page=whole_page, animations="disabled")
        return path

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(f"{message.text} ({message.location['url']})")


@asynccontextmanager
async def visitor(
    *,
    locale: str = "ko-KR",
    width: int = 1280,
    height: int = 800,
    dark: bool = False,
    javascript: bool = True,
    tolerated: Sequence[str] = (),
) -> AsyncIterator[Visitor]:
    """A fresh browser with no cookies. At the end it fails on every complaint that no `tolerated` pattern matches."""
    chromium = needs.program("chromium", "chromium-browser", "google-chrome")
    folder, name = _place_for_pictures()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        context = await browser.new_context(
            locale=locale,
            timezone_id="Asia/Seoul",
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=javascript,
        )
        context.set_default_timeout(PATIENCE)
        seen = Visitor(context, await context.new_page(), folder, name)
        try:
            yield seen
        except BaseException:
            with suppress(Error):  # the page may be what failed; its own error is the one to report
                await seen.screenshot("failed")
            raise
        finally:
            await browser.close()
    untolerated = [text for text in seen.complaints if not any(re.search(pattern, text) for pattern in tolerated)]
    assert not untolerated, "the browser's console says:\n" + "\n".join(untolerated)


def _place_for_pictures() -> tuple[Path, str]:
    """`artefacts/test_file` and `test_name[parameters]` of the running test, safe as file names."""
    node = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
    file, _, test = node.partition("::")
    return ARTEFACTS / Path(file).stem, re.sub(r"[^\w.=-]+", "-", test).strip("-")
