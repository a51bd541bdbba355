"""Every form: what another site's page sends changes nothing, and what is typed comes back as text.

The table has an entry for each form of each page; a form that is on a page and not here fails.
"""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from starlette.routing import Route

from .conftest import SITE, Site
from .iam_standin import PASSWORD
from .identities import Person
from .markup import Page

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"
SIGNED_OUT = ("/login", "/signup", "/reset", "/reset/a-link", "/logout")
SIGNED_IN = ("/", "/me", "/account", "COURSE", "TEXT", "VIDEO", "/logout")

# By where a form is sent and what it asks: the fields that a person would fill in.
FORMS: dict[tuple[str, str], dict[str, str]] = {
    ("/login", ""): {"email": "learner@banyan.test", "password": PASSWORD},
    ("/signup", ""): {"name": "새 사람", "email": "new@banyan.test", "password": "long enough"},
    ("/reset", ""): {"email": "learner@banyan.test"},
    ("/reset/a-link", ""): {"password": "long enough"},
    ("/logout", ""): {},
    ("/account", "name"): {"name": "새 이름"},
    ("/account", "password"): {"old": PASSWORD, "password": "long enough"},
    ("/account", "end"): {},
    ("/account", "end-others"): {},
    ("/account", "leave"): {"leave_password": PASSWORD, "sure": "yes"},
    ("COURSE/enrolment", ""): {},
    ("TEXT", ""): {},
}
OUTSIDE = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": f"{SITE}.evil.example"},
    {"origin": SITE.replace("https", "http") + ":8443"},
    {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {},
]


class _Places:
    """Where the forms with changing addresses are today."""

    def __init__(self, site: Site) -> None:
        courses = [course for course in site.learning.courses if not course.price]
        lessons = [(c, lesson) for c in courses for section in c.sections for lesson in section.lessons]
        course, text = next((c, lesson) for c, lesson in lessons if lesson.kind == "text" and not lesson.preview)
        video = next(lesson for c, lesson in lessons if c is course and lesson.kind == "video")
        site.learning.enrolled = [course.slug]
        slug, other = quote(course.slug), quote(next(c.slug for c in courses if c is not course))
        room = f"/learn/{slug}"
        self.of = {"TEXT": f"{room}/{text.id}", "VIDEO": f"{room}/{video.id}", "COURSE": f"/courses/{other}"}

    def real(self, path: str) -> str:
        for name, place in self.of.items():
            path = path.replace(name, place)
        return path

    def called(self, path: str) -> str:
        for name, place in self.of.items():
            path = path.replace(place, name)
        return path


def _forms(page: Page, at: str) -> list[tuple[str, str, dict[str, str]]]:
    """The forms of a page that change something: where each is sent, what it asks, its hidden fields. A form that
    names no place is sent where it is, which may be below /_banyan."""
    found: list[tuple[str, str, dict[str, str]]] = []
    for element in page.elements:
        if element.tag == "form":
            place = element.attributes.get("action", at)
            found.append((place if element.attributes.get("method") == "post" else "", "", {}))
        elif element.tag == "input" and "form" in element.inside and element.attributes.get("type") == "hidden":
            found[-1][2][element.attributes["name"]] = element.attributes["value"]
    return [(action, hidden.get("do", ""), hidden) for action, _, hidden in found if action]


def _routes(holder: object) -> Iterator[Route]:
    for route in getattr(holder, "routes", []):
        if isinstance(route, Route):
            yield route
        yield from _routes(getattr(route, "original_router", None))


def _changes(site: Site) -> list[object]:
    writes = [request for request in site.learning.requests if request.startswith("POST")]
    return [*site.iam.changes, *writes, *site.learning.beats]


async def test_the_table_has_every_form_of_every_page(site: Site) -> None:
    places, person = _Places(site), Person()
    seen = set()

    for path in SIGNED_OUT:
        seen |= {(action, do) for action, do, _ in _forms(Page((await site.get(path)).text), path)}
    for path in SIGNED_IN:
        page = Page((await site.seen_by(person, places.real(path))).text)
        seen |= {(places.called(action), do) for action, do, hidden in _forms(page, places.real(path))}
        assert all(hidden["proof"] for _, _, hidden in _forms(page, path))

    assert seen == FORMS.keys()


def test_every_address_that_takes_a_form_is_in_the_table(site: Site) -> None:
    taking = {route.path for route in _routes(site.app) if "POST" in (route.methods or set())}

    named = {"COURSE/enrolment": "/courses/{slug}/enrolment", "TEXT": "/learn/{slug}/{lesson}"}
    assert taking == {named.get(path, path).replace("a-link", "{token}") for path, _ in FORMS}


@pytest.mark.parametrize(("action", "do"), FORMS, ids=lambda part: part.replace("/", "-"))
async def test_a_form_of_another_site_changes_nothing(site: Site, action: str, do: str) -> None:
    places, person = _Places(site), Person()
    fields = {**FORMS[action, do], **({"do": do} if do else {}), "proof": "f" * 64}

    for outside in OUTSIDE:
        headers = {**person.headers, **outside}
        headers["cookie"] += "; banyan_form=0123456789abcdefghijklmn"
        answer = await site.visitor.post(places.real(action), data=fields, headers=headers)

        assert answer.status_code == 403, outside
        assert "banyan_session" not in answer.headers.get("set-cookie", "")
        assert _changes(site) == []


@pytest.mark.parametrize(("action", "do"), FORMS, ids=lambda part: part.replace("/", "-"))
async def test_a_form_of_ours_does_its_work_with_the_browsers_word_or_with_its_proof(
    site: Site, action: str, do: str
) -> None:
    places, person = _Places(site), Person()
    fields = {**FORMS[action, do], **({"do": do} if do else {})}
    signed_in = not (action.startswith("/") and action not in ("/logout", "/account"))
    page_of = {"/logout": "/logout", "COURSE/enrolment": "COURSE"}.get(action, action)
    shown = await (site.seen_by(person, places.real(page_of)) if signed_in else site.get(page_of))
    forms = {(where, asked): hidden for where, asked, hidden in _forms(Page(shown.text), places.real(page_of))}
    proof = forms[places.real(action), do]["proof"]
    headers = dict(person.headers) if signed_in else {"cookie": shown.headers["set-cookie"].split(";")[0]}

    for said, given in (({"origin": SITE}, ""), ({"sec-fetch-site": "same-origin"}, ""), ({}, proof)):
        before = len(_changes(site))
        answer = await site.visitor.post(
            places.real(action), data={**fields, "proof": given}, headers={**headers, **said}
        )

        assert answer.status_code in (200, 303), said
        assert len(_changes(site)) == before + 1


async def test_a_proof_is_of_one_session_and_of_one_visitor(site: Site) -> None:
    one, other = Person(), Person()
    proof = _forms(Page((await site.seen_by(one, "/account")).text), "/account")[0][2]["proof"]

    answer = await site.visitor.post("/account", data={"do": "end-others", "proof": proof}, headers=other.headers)

    assert answer.status_code == 403
    assert _changes(site) == []


async def test_what_was_typed_is_kept_where_a_form_was_not_believed_and_passwords_never_are(site: Site) -> None:
    form = {"name": "김하늘", "email": "a@b.test", "password": "long enough"}

    answer = await site.visitor.post("/signup", data=form, headers={"origin": "https://evil.example"})

    page = Page(answer.text)
    assert page.one("input", id="name").attributes["value"] == "김하늘"
    assert page.one("input", id="email").attributes["value"] == "a@b.test"
    assert "long enough" not in answer.text
    assert "did not come from a page of ours" in page.one("div", role="alert").text


@pytest.mark.parametrize("path", ["/login", "/signup", "/reset", "/account", "/reset/a-link"])
async def test_markup_in_every_field_comes_back_as_text(site: Site, path: str) -> None:
    person = Person(name=EVIL)
    names = ("email", "name", "password", "old", "next", "leave_password", "session", "sure")
    fields = dict.fromkeys(names, EVIL)

    for do in ("", "name", "password", "end", "leave", EVIL):
        site.iam.refuse = (422, "name-not-usable", {})
        answer = await site.post(path, person, **fields, do=do)
        page = Page(answer.text)
        assert not [e for e in page.elements if e.tag == "img" or any(name.startswith("on") for name in e.attributes)]
        sources = [e.attributes.get("src", "") for e in page.elements if e.tag == "script"]
        assert all(source.startswith("/_banyan/assets/") for source in sources)


async def test_markup_in_names_devices_and_lessons_is_text(site: Site) -> None:
    places, person = _Places(site), Person(name=EVIL)
    site.iam.sessions = [replace(one, device=EVIL, address=EVIL, id=EVIL) for one in site.iam.sessions]
    slug = site.learning.enrolled[0]
    for at, course in enumerate(site.learning.courses):
        if course.slug == slug:
            sections = [
                replace(section, title=EVIL, lessons=[replace(lesson, title=EVIL) for lesson in section.lessons])
                for section in course.sections
            ]
            told = replace(course, title=EVIL, description=EVIL, instructor=EVIL, sections=sections)
            site.learning.courses[at] = told

    for path in ("/account", "/me", places.real("TEXT"), places.real("VIDEO"), "/account?done=" + quote(EVIL)):
        answer = await site.seen_by(person, path)
        page = Page(answer.text)
        assert answer.status_code == 200
        assert EVIL not in answer.text
        assert not [e for e in page.elements if e.tag == "img" or any(name.startswith("on") for name in e.attributes)]


async def test_no_password_is_logged_or_shown(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    secret = "a-very-secret-passphrase"  # it is looked for
    shown = ""
    for refuse in (None, (500, "x", {}), (422, "password-not-usable", {}), (429, "too-many-attempts", {})):
        site.iam.refuse = refuse
        for path in ("/login", "/signup", "/reset/a-link", "/account"):
            for do in ("password", "leave"):
                fields = {"email": "a@b.test", "name": "a", "password": secret, "old": secret, "leave_password": secret}
                shown += (await site.post(path, Person(), **fields, sure="yes", do=do)).text

    said = capsys.readouterr()
    assert secret not in shown + said.out + said.err


async def test_a_form_that_is_no_form_is_refused_in_words(site: Site) -> None:
    many = "&".join(f"a{number}=1" for number in range(50))

    for body in (many, "\x00\xff", "%ff%fe=%00"):
        answer = await site.visitor.post(
            "/login",
            content=body.encode("latin-1"),
            headers={"origin": SITE, "content-type": "application/x-www-form-urlencoded"},
        )
        assert answer.status_code in (400, 422)
        assert "<h1>" in answer.text
