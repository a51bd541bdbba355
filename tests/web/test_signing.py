"""Signing in, signing up and signing out, as a browser without script meets them."""

from urllib.parse import quote

import httpx
import pytest

from .conftest import SITE, Site
from .iam_standin import PASSWORD
from .identities import Person
from .markup import Page

EMAIL = "learner@banyan.test"


async def test_signing_in_leads_back_with_the_cookies_of_iam_exactly_as_they_came(site: Site) -> None:
    answer = await site.post("/login", email=EMAIL, password=PASSWORD, next="/courses?q=x")

    assert (answer.status_code, answer.headers["location"]) == (303, "/courses?q=x")
    cookies = answer.headers.get_list("set-cookie")
    assert [cookie.split("=")[0] for cookie in cookies] == ["banyan_session", "banyan_ref", "banyan_fresh"]
    assert all(cookie.endswith("Max-Age=2592000; Path=/; HttpOnly; SameSite=lax") for cookie in cookies)


async def test_the_box_on_the_old_pages_signs_in_too(site: Site) -> None:
    answer = await site.post("/login", userid=EMAIL, passwd=PASSWORD, url="/mypage")

    assert (answer.status_code, answer.headers["location"]) == (303, "/mypage")


async def test_a_wrong_password_is_said_under_its_field_and_only_the_address_is_kept(site: Site) -> None:
    answer = await site.post("/login", email=EMAIL, password="not-it-at-all", next="/courses")

    page = Page(answer.text)
    assert answer.status_code == 422
    assert page.one("input", id="email").attributes["value"] == EMAIL
    assert page.one("input", id="password").attributes["aria-invalid"] == "true"
    assert "do not belong together" in page.one("p", id="password-said").text
    assert page.one("input", name="next").attributes["value"] == "/courses"
    assert "not-it-at-all" not in answer.text


async def test_the_page_says_who_is_signed_in_without_asking_anybody(site: Site) -> None:
    answer = await site.seen_by(Person(name="박서연"), "/courses")

    page = Page(answer.text)
    assert page.texts("span", class_="who-name") == ["박서연"]
    assert [form.attributes["action"] for form in page.all("form", method="post")] == ["/logout"]
    assert site.iam.seen == []


async def test_a_token_that_the_gateway_did_not_pass_signs_nobody_in(site: Site) -> None:
    person = Person()

    alone = await site.get("/courses", cookie=person.headers["cookie"])
    other = await site.get("/courses", cookie=person.headers["cookie"], x_banyan_session=Person().session_id)

    assert 'class="who"' not in alone.text + other.text


async def test_a_signed_in_visitor_is_not_asked_to_sign_in_again(site: Site) -> None:
    answer = await site.seen_by(Person(), "/login?next=/courses")

    assert (answer.status_code, answer.headers["location"]) == (303, "/courses")


async def test_a_link_to_sign_in_leads_back_to_the_page_it_stood_on(site: Site) -> None:
    from_old_page = Page((await site.get("/login", referer=f"{SITE}/board?page=2")).text)
    from_elsewhere = Page((await site.get("/login", referer="https://evil.example/courses")).text)

    assert from_old_page.one("input", name="next").attributes["value"] == "/board?page=2"
    assert from_elsewhere.one("input", name="next").attributes["value"] == "/me"


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%5cevil.example",
        "/%5Cevil.example",
        "/%2fevil.example",
        "/%2F%2Fevil.example",
        "/%252fevil.example",
        "/.//evil.example",
        "/..//evil.example",
        "/a/../..//evil.example",
        "/%2e%2e//evil.example",
        "https://evil.example",
        "https:evil.example",
        "https:/evil.example",
        "http:evil.example",
        "HTTPS://evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "evil.example",
        "@evil.example",
        "/\tevil.example",
        "/\n/evil.example",
        "/\r\nset-cookie: a=b",
        "\t//evil.example",
        " //evil.example",
        "/ /evil.example",
        "/\x00/evil.example",
        "/login",
        "/login?next=/login",
        "/logout",
        "/%6cogout",
        "/signup",
        "/_banyan/api/v1/session",
        "",
        "/" + "x" * 3000,
    ],
)
async def test_signing_in_leads_nowhere_but_to_a_page_of_this_site(site: Site, address: str) -> None:
    answer = await site.post("/login", email=EMAIL, password=PASSWORD, next=address)
    shown = Page((await site.get(f"/login?next={quote(address, safe='')}")).text)

    assert answer.headers["location"] == "/me"
    assert shown.one("input", name="next").attributes["value"] == "/me"
    assert len(answer.headers.get_list("set-cookie")) == 3


@pytest.mark.parametrize(
    ("address", "location"),
    [
        ("/", "/"),
        ("/courses/a-b", "/courses/a-b"),
        ("/courses?q=a%2Fb&price=free", "/courses?q=a%2Fb&price=free"),
        ("/courses?q=https://x//y", "/courses?q=https://x//y"),
        ("/courses/파이썬", "/courses/%ED%8C%8C%EC%9D%B4%EC%8D%AC"),
        ("/courses/%ED%8C%8C", "/courses/%ED%8C%8C"),
        ("/index.php?mod=course&act=view", "/index.php?mod=course&act=view"),
        ("/courses/x#curriculum", "/courses/x#curriculum"),
        ("/logout-faq", "/logout-faq"),
    ],
)
async def test_signing_in_leads_to_any_page_of_this_site(site: Site, address: str, location: str) -> None:
    answer = await site.post("/login", email=EMAIL, password=PASSWORD, next=address)

    assert answer.headers["location"] == location


async def test_a_new_account_is_signed_in(site: Site) -> None:
    answer = await site.post(
        "/signup", name="새 사람", email="new@banyan.test", password="long enough", next="/courses"
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/courses")
    assert len(answer.headers.get_list("set-cookie")) == 3
    assert site.iam.seen[-1][2] == {"email": "new@banyan.test", "password": "long enough", "name": "새 사람"}


async def test_everything_that_is_wrong_with_a_new_account_is_said_at_once(site: Site) -> None:
    answer = await site.post("/signup", name="", email="nobody", password="short")

    page = Page(answer.text)
    assert answer.status_code == 422
    wrong = [field.attributes["name"] for field in page.all("input") if "aria-invalid" in field.attributes]
    assert wrong == ["name", "email", "password"]
    assert page.one("input", id="email").attributes["value"] == "nobody"
    assert "short" not in [field.attributes.get("value") for field in page.all("input")]
    assert site.iam.seen == []


async def test_a_known_address_is_said_under_its_field(site: Site) -> None:
    answer = await site.post("/signup", name="김하늘", email=EMAIL, password="long enough")

    assert "There is an account with this address already" in Page(answer.text).one("p", id="email-said").text


async def test_after_too_many_attempts_the_page_says_when_to_try_again(site: Site) -> None:
    site.iam.refuse = (429, "too-many-attempts", {"retry-after": "90"})

    answer = await site.post("/login", email=EMAIL, password=PASSWORD)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "90")
    assert "In 2 min you can try again." in Page(answer.text).one("div", role="alert").text
    assert Page(answer.text).one("input", id="email").attributes["value"] == EMAIL


@pytest.mark.parametrize("path", ["/login", "/signup", "/reset"])
async def test_while_iam_is_away_only_signing_in_is_refused_and_what_was_typed_is_kept(
    lonely: httpx.AsyncClient, path: str
) -> None:
    form = {"email": EMAIL, "password": PASSWORD, "name": "김하늘"}
    headers = {"origin": SITE, "accept-language": "ko"}

    shown = await lonely.get(path, headers={"accept-language": "ko"})
    answer = await lonely.post(path, data=form, headers=headers)

    assert shown.status_code == 200
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "지금은 로그인할 수 없어요" in Page(answer.text).one("div", role="alert").text
    assert Page(answer.text).one("input", id="email").attributes["value"] == EMAIL
    assert PASSWORD not in answer.text


async def test_a_link_of_ours_signs_out_at_once(site: Site) -> None:
    person = Person()

    modern = await site.seen_by(person, "/logout", sec_fetch_site="same-origin", sec_fetch_dest="document")
    older = await site.seen_by(person, "/logout", referer=f"{SITE}/mypage")

    for answer in (modern, older):
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        gone = {cookie.split("=")[0] for cookie in answer.headers.get_list("set-cookie") if "Max-Age=0" in cookie}
        assert gone >= {"banyan_session", "banyan_fresh", "banyan_ref"}
    assert site.iam.changes == [("DELETE", "/api/v1/session")] * 2
    assert site.iam.seen[0][3]["Authorization"] == f"Bearer {person.token}"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"sec_fetch_site": "cross-site", "referer": f"{SITE}/"},
        {"sec_fetch_site": "same-origin", "sec_fetch_dest": "image"},
        {"sec_fetch_site": "same-origin", "sec_purpose": "prefetch;prerender"},
        {"referer": "https://evil.example/"},
        {"referer": f"{SITE}.evil.example/"},
        {"referer": "https://evil.example/?https://learn.example/"},
    ],
)
async def test_any_other_way_to_the_link_asks_first(site: Site, headers: dict[str, str]) -> None:
    answer = await site.seen_by(Person(), "/logout", **headers)

    page = Page(answer.text)
    assert answer.status_code == 200
    assert page.texts("h1") == ["Sign out?"]
    assert site.iam.seen == []
    assert "set-cookie" not in answer.headers


async def test_signing_out_works_while_iam_is_away(lonely: httpx.AsyncClient) -> None:
    answer = await lonely.post("/logout", headers={**Person().headers, "origin": SITE})

    assert answer.status_code == 303
    assert len([cookie for cookie in answer.headers.get_list("set-cookie") if "Max-Age=0" in cookie]) == 3


async def test_iam_is_told_of_the_browser_and_nothing_else_of_its_cookies(site: Site) -> None:
    headers = {
        "origin": SITE,
        "user-agent": "Firefox/140",
        "x-forwarded-for": "203.0.113.9",
        "accept-language": "ko-KR,ko;q=0.9",
        "cookie": "OLDSESSID=secret; banyan_device=d123; other=1",
        "x-banyan-user": "somebody",
    }

    await site.visitor.post("/login", data={"email": EMAIL, "password": PASSWORD}, headers=headers)

    told = site.iam.seen[-1][3]
    assert (told["User-Agent"], told["X-Forwarded-For"]) == ("Firefox/140", "203.0.113.9")
    assert told["Cookie"] == "banyan_device=d123"
    assert told["Accept-Language"] == "ko"
    assert "secret" not in str(told)
    assert "x-banyan-user" not in {name.lower() for name in told}
