"""The documentation as a site: whole, without a dead link, and without anything from another host."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.async_api import async_playwright

from tests.docs.blocks import ROOT, pages
from tests.journeys.browser import ARGUMENTS, PATIENCE
from tests.journeys.needs import program

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


@pytest.fixture(scope="module")
def site() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp") as folder:
        built = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
            cwd=ROOT,
            env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        said = built.stdout + built.stderr
        assert built.returncode == 0, "\n".join(line for line in said.splitlines() if not line.startswith("INFO"))
        yield Path(folder)


class Page(HTMLParser):
    """What a page points to, what can be pointed to in it, and what it loads by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.anchors |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.links.append(known["href"])
        if tag in {"script", "img", "iframe", "source"} and "src" in known:
            self.loads.append(known["src"])
        if tag == "link" and known.get("rel") not in {"canonical", "next", "prev", "edit"}:
            self.loads.append(known.get("href", ""))


def test_no_link_of_the_site_is_dead_down_to_its_anchor(site: Path) -> None:
    # Where a server answers with 404.html nobody knows, so its links begin at the root.
    read = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    dead = []
    for path, page in read.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and target in read and anchor not in read[target].anchors):
                dead.append(f"{path.relative_to(site)}: {link}")

    assert len(read) > 40
    assert dead == []


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    elsewhere = [
        f"{path.relative_to(site)}: {address}"
        for path in site.rglob("*.html")
        for address in Page(path).loads
        if urlsplit(address).netloc
    ]
    styles = [
        f"{path.relative_to(site)}: {address}"
        for path in site.rglob("*.css")
        for address in re.findall(r"url\(['\"]?(https?:[^)]*)", path.read_text(encoding="utf-8"))
    ]

    assert elsewhere + styles == []


async def test_from_a_folder_the_site_is_whole_and_its_search_finds(site: Path) -> None:
    executable = program("chromium")
    asked: list[str] = []
    faults: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        page = await browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: faults.append(str(error)))
        await page.goto(f"file://{site}/concepts/request.html")
        results = page.locator(".md-search-result__item")
        async with asyncio.timeout(PATIENCE / 1000):
            while not await results.count():  # the page may not have begun to listen when the first letters come
                await page.locator("input.md-search__input").fill("")
                await page.locator("input.md-search__input").press_sequentially("outbox")
                await page.wait_for_timeout(1000)
        found = await page.locator(".md-search-result__item h1").all_inner_texts()
        await browser.close()

    assert "An event" in found
    assert faults == []
    assert [address for address in asked if not address.startswith("file://")] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_of_a_page_lead_to_files_of_the_repository(page: Path) -> None:
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    links = [found[1] or found[2] for found in _LINK.finditer(text)]
    dead = [
        link
        for link in links
        if not urlsplit(link).scheme and urlsplit(link).path and not (page.parent / urlsplit(link).path).exists()
    ]

    assert dead == []
