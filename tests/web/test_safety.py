"""What an instructor or a visitor writes stays text, and no page reaches outside the site."""

import json
import re
from dataclasses import replace
from urllib.parse import quote, urlsplit

import pytest

from banyan.contracts.learning import Course, Lesson, Section
from banyan.infra.pages import asset_set
from banyan.web import pages

from .conftest import SITE, Site
from .markup import Page

EVIL = "\"><script>alert(1)</script></title></script><img src=x onerror=alert(2)>'{{7*7}}&lt;<!--]]>"
OWN = {"", urlsplit(SITE).netloc}


@pytest.fixture
def evil(site: Site) -> Course:
    course = replace(
        site.learning.courses[0],
        id=EVIL,
        slug=EVIL.replace("/", ""),
        title=EVIL,
        summary=EVIL,
        description=f"{EVIL}\n\n{EVIL}",
        outcomes=[EVIL],
        category=EVIL,
        instructor=EVIL,
        sections=[Section(EVIL, [Lesson(EVIL, EVIL, "video", True, 60)])],
    )
    site.learning.courses[0] = course
    return course


@pytest.mark.parametrize("language", ["ko", "en"])
async def test_markup_in_every_field_of_a_course_is_shown_as_text(site: Site, evil: Course, language: str) -> None:
    answer = await site.get(f"/courses/{quote(evil.slug, safe='')}", accept_language=language)

    page = Page(answer.text)
    _assert_harmless(page)
    assert page.texts("h1") == [" ".join(EVIL.split())]
    assert page.texts("span", class_="lesson-title") == page.texts("h1")
    data = json.loads(page.one("script", type="application/ld+json").text)
    assert data["name"] == EVIL
    assert "<" not in page.one("script", type="application/ld+json").text


@pytest.mark.parametrize("path", ["/", "/courses"])
async def test_markup_in_a_card_is_shown_as_text(site: Site, evil: Course, path: str) -> None:
    site.learning.courses[0] = replace(evil, learners=10**9)

    page = Page((await site.get(path)).text)

    _assert_harmless(page)
    assert EVIL in [element.text for element in page.elements if element.tag == "a"]


@pytest.mark.parametrize(
    "path",
    [
        f"/courses?q={quote(EVIL)}",
        f"/courses?category={quote(EVIL)}&level={quote(EVIL)}&sort={quote(EVIL)}",
        f"/courses?{quote(EVIL)}={quote(EVIL)}",
        f"/{quote(EVIL)}?{quote(EVIL)}",
        f"/courses/{quote(EVIL, safe='')}",
    ],
)
async def test_markup_in_an_address_is_shown_as_text(site: Site, path: str) -> None:
    answer = await site.get(path, x_request_id=EVIL, cookie=f"banyan_locale={quote(EVIL)}")

    _assert_harmless(Page(answer.text))


@pytest.mark.parametrize("path", ["/", "/courses", "/courses?q=x", "COURSE", "/nowhere", "/courses/nowhere"])
async def test_every_page_is_strict_and_keeps_to_its_own_site(site: Site, path: str) -> None:
    path = path.replace("COURSE", f"/courses/{site.learning.courses[3].slug}")

    answer = await site.get(path)

    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["style-src"]) == ("'none'", "'self'", "'self'")
    assert (policy["base-uri"], policy["frame-ancestors"], policy["form-action"]) == ("'none'", "'none'", "'self'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "strict-origin-when-cross-origin"
    page = Page(answer.text)
    _assert_harmless(page)
    for element in page.elements:
        for name in ("href", "src", "action", "srcset", "poster"):
            assert urlsplit(element.attributes.get(name, "")).netloc in OWN


def test_no_asset_reaches_outside_or_brings_more_of_its_own() -> None:
    folders = (asset_set.SHARED, asset_set.SHARED.parents[2] / "web" / "assets")
    for path in [path for folder in folders for path in folder.iterdir()]:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(|[\"']//", text), path


async def test_assets_are_kept_for_good_and_an_old_address_is_not(site: Site) -> None:
    address = pages.assets().url("site.css")

    now = await site.get(address)
    old = await site.get(re.sub(r"assets/\w+/", "assets/000000000000/", address))
    missing = [
        await site.get(address.replace("site.css", name)) for name in ("none.css", "../asset_set.py", "%2e%2e/x")
    ]

    assert now.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert now.headers["content-type"] == "text/css; charset=utf-8"
    assert now.headers["content-encoding"] == "gzip"
    assert (old.text, old.headers["cache-control"]) == (now.text, "no-cache")
    assert {answer.status_code for answer in missing} == {404}


async def test_every_asset_a_page_names_is_there(site: Site) -> None:
    page = Page((await site.get("/courses")).text)

    named = [
        e.attributes.get("href") or e.attributes.get("src", "") for e in page.elements if e.tag in ("link", "script")
    ]
    assets = [address for address in named if address.startswith("/_banyan/")]
    assert len(assets) >= 6
    assert {(await site.get(address)).status_code for address in assets} == {200}


def _assert_harmless(page: Page) -> None:
    for element in page.elements:
        assert element.tag not in ("style", "iframe", "object", "embed", "base", "img")
        assert "style" not in element.attributes
        assert not [name for name in element.attributes if name.startswith("on")]
        assert not element.attributes.get("href", "").lower().startswith(("javascript:", "data:"))
        if element.tag == "script" and element.attributes.get("type") != "application/ld+json":
            assert element.attributes["src"].startswith("/_banyan/assets/")
            assert element.text == ""
