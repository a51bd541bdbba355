"""The reader's language and colours: chosen by link, remembered by cookie."""

import pytest

from .conftest import Site
from .markup import Page


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en;q=0.5, ko;q=0.6", "ko"),
        ("fr-FR, ko;q=0, en;q=0.1", "en"),
        ("de, fr", "en"),
        ("", "en"),
        ("*", "en"),
        ("ko;q=nonsense, en;q=0.1", "en"),
        ("KO", "ko"),
        (";;;,,;q=,ko;q=1.0000", "en"),
        ("x" * 5000, "en"),
    ],
)
async def test_the_browsers_languages_decide_without_a_cookie(site: Site, accepted: str, language: str) -> None:
    answer = await site.get("/courses", accept_language=accepted)

    assert Page(answer.text).one("html").attributes["lang"] == language
    assert answer.headers["content-language"] == language
    assert answer.headers["vary"] == "Cookie, Accept-Language"
    assert answer.headers["cache-control"] == "private, no-cache"


async def test_the_cookie_decides_before_the_browser(site: Site) -> None:
    answer = await site.get("/courses", accept_language="en", cookie="banyan_locale=ko; banyan_theme=dark")

    html = Page(answer.text).one("html")
    assert (html.attributes["lang"], html.attributes["data-theme"]) == ("ko", "dark")


async def test_a_cookie_with_anything_else_in_it_is_not_believed(site: Site) -> None:
    answer = await site.get("/courses", cookie='banyan_locale="><script>; banyan_theme=purple')

    html = Page(answer.text).one("html")
    assert (html.attributes["lang"], html.attributes["data-theme"]) == ("en", "auto")


async def test_the_language_link_remembers_and_leads_back(site: Site) -> None:
    page = Page((await site.get("/courses?q=a%26b&category=data", accept_language="en")).text)
    link = page.one("a", hreflang="ko").attributes["href"]

    answer = await site.get(link)

    assert answer.status_code == 303
    assert answer.headers["location"] == "/courses?q=a%26b&category=data"
    assert answer.headers["set-cookie"] == (
        "banyan_locale=ko; HttpOnly; Max-Age=31536000; Path=/; SameSite=lax; Secure"
    )


async def test_the_colours_go_round_without_script(site: Site) -> None:
    seen, path = [], "/courses"
    for _ in range(3):
        page = Page((await site.get(path)).text)
        seen.append(page.one("html").attributes["data-theme"])
        (link,) = [link for link in page.all("a") if "data-theme-switch" in link.attributes]
        path = (await site.get(link.attributes["href"])).headers["location"]

    assert seen == ["auto", "light", "dark"]


@pytest.mark.parametrize(
    "path", ["//elsewhere.example/x?lang=ko", "/%5Celsewhere.example?lang=ko", "///e.example?theme=dark"]
)
async def test_a_choice_never_leads_to_another_site(site: Site, path: str) -> None:
    answer = await site.visitor.get(f"https://learn.example{path}")

    location = answer.headers["location"]
    assert answer.status_code == 303
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))


async def test_a_choice_nobody_offers_changes_nothing(site: Site) -> None:
    answer = await site.get("/courses?lang=fr&theme=purple")

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


async def test_a_language_can_be_chosen_on_an_error_page(site: Site) -> None:
    answer = await site.get("/nowhere?lang=ko&x=1")

    assert (answer.status_code, answer.headers["location"]) == (303, "/nowhere?x=1")
