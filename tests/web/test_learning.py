"""Enrolling, one's courses, the room, and the account, as a browser without script meets them."""

from dataclasses import replace
from urllib.parse import quote

import httpx

from banyan.contracts.learning import Course

from .conftest import Site
from .iam_standin import PASSWORD
from .identities import Person
from .markup import Page


def _course(site: Site, *, free: bool = True) -> Course:
    return next(course for course in site.learning.courses if (course.price == 0) is free)


def _lesson(course: Course, kind: str) -> str:
    lessons = [lesson for section in course.sections for lesson in section.lessons]
    return next(lesson.id for lesson in lessons if lesson.kind == kind and not lesson.preview)


async def test_a_signed_out_visitor_who_enrols_signs_in_first_and_comes_back(site: Site) -> None:
    course = _course(site)

    answer = await site.post(f"/courses/{quote(course.slug)}/enrolment")

    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=%2Fcourses%2F")
    assert not site.learning.enrolled


async def test_enrolling_leads_to_the_first_lesson_and_twice_is_once(site: Site) -> None:
    course, person = _course(site), Person()

    for _ in range(2):
        answer = await site.post(f"/courses/{quote(course.slug)}/enrolment", person)
        first = course.sections[0].lessons[0].id
        assert answer.headers["location"] == f"/learn/{quote(course.slug)}/{first}"

    assert site.learning.enrolled == [course.slug]
    page = Page((await site.seen_by(person, f"/courses/{quote(course.slug)}")).text)
    assert not [form for form in page.all("form") if form.attributes["action"].endswith("/enrolment")]
    assert any(link.attributes["href"].startswith("/learn/") for link in page.all("a", class_="primary"))


async def test_a_paid_course_says_honestly_that_it_cannot_be_bought_yet(site: Site) -> None:
    course, person = _course(site, free=False), Person()

    answer = await site.post(f"/courses/{quote(course.slug)}/enrolment", person)

    assert answer.headers["location"] == f"/courses/{quote(course.slug)}?enrol=paid"
    assert "paying opens soon" in (await site.seen_by(person, answer.headers["location"])).text


async def test_my_courses_show_how_far_i_am_and_lead_to_the_right_lesson(site: Site) -> None:
    course, person = _course(site), Person()
    site.learning.enrolled = [course.slug]
    lessons = [lesson for section in course.sections for lesson in section.lessons]
    site.learning.percents = {lesson.id: 100 for lesson in lessons[:3]}

    page = Page((await site.seen_by(person, "/me", accept_language="ko")).text)

    percent = 300 // len(lessons)
    assert page.one("progress").attributes["value"] == str(percent)
    assert f"{percent}%" in page.texts("strong")
    assert page.one("a", class_="primary").attributes["href"].endswith(f"/{lessons[3].id}")


async def test_my_courses_are_mine_and_an_empty_list_says_what_to_do(site: Site) -> None:
    signed_out = await site.get("/me?lang=x")
    empty = Page((await site.seen_by(Person(), "/me")).text)

    assert signed_out.headers["location"].startswith("/login?next=%2Fme")
    assert empty.texts("h2") == ["You take no course yet"]


async def test_while_learning_is_away_my_courses_say_that_they_are_safe(lonely: httpx.AsyncClient) -> None:
    answer = await lonely.get("/me", headers=Person().headers)

    assert (answer.status_code, answer.headers["cache-control"]) == (503, "no-store")
    assert "They are safe" in answer.text


async def test_the_room_is_for_those_who_take_the_course_and_previews_for_everybody(site: Site) -> None:
    course = _course(site)
    closed = f"/learn/{quote(course.slug)}/{_lesson(course, 'video')}"
    preview = next(one for section in course.sections for one in section.lessons if one.preview)

    signed_out = await site.get(closed)
    not_enrolled = await site.seen_by(Person(), closed)
    open_to_all = await site.get(f"/learn/{quote(course.slug)}/{preview.id}")

    assert signed_out.headers["location"].startswith("/login?next=%2Flearn%2F")
    assert not_enrolled.headers["location"] == f"/courses/{quote(course.slug)}?enrol=first"
    assert open_to_all.status_code == 200
    for unknown in ("none", "%2e%2e", "a%2fb"):
        assert (await site.seen_by(Person(), f"/learn/{quote(course.slug)}/{unknown}")).status_code == 404


async def test_a_lesson_under_the_name_of_another_course_leads_to_its_own(site: Site) -> None:
    course = _course(site)
    site.learning.enrolled = [course.slug]
    lesson = _lesson(course, "video")

    answer = await site.seen_by(Person(), f"/learn/another/{lesson}")

    assert answer.headers["location"] == f"/learn/{quote(course.slug)}/{lesson}"


async def test_a_text_is_finished_by_its_button_without_script_and_leads_on(site: Site) -> None:
    course = next(c for c in site.learning.courses if not c.price and "text" in str(c.sections))
    site.learning.enrolled = [course.slug]
    lesson, person = _lesson(course, "text"), Person()
    address = f"/learn/{quote(course.slug)}/{lesson}"

    answer = await site.post(address, person, next="//evil.example")

    assert answer.headers["location"] == address
    assert site.learning.percents[lesson] == 100
    page = Page((await site.seen_by(person, address)).text)
    assert page.one("p", class_="lesson-state").attributes["class"].endswith("completed")
    assert page.one("a", **{"aria-current": "page"}).attributes["href"] == address


async def test_the_room_has_no_site_header_and_shows_the_way_through_the_course(site: Site) -> None:
    course = _course(site)
    site.learning.enrolled = [course.slug]

    page = Page((await site.seen_by(Person(), f"/learn/{quote(course.slug)}/{_lesson(course, 'video')}")).text)

    lessons = [lesson for section in course.sections for lesson in section.lessons]
    assert not list(page.all("header", class_="site-header"))
    assert page.texts("span", class_="place-title") == [lesson.title for lesson in lessons]
    assert {link.attributes["rel"] for link in page.all("a", class_="lesson-way")} >= {"next", "prev"}


async def test_the_account_shows_its_devices_and_lets_them_go(site: Site) -> None:
    person = Person()

    page = Page((await site.seen_by(person, "/account")).text)
    one = await site.post("/account", person, do="end", session="0f8fad5b-d9cb-469f-a165-70867728950e")
    others = await site.post("/account", person, do="end-others")

    assert [text for text in page.texts("strong") if " on " in text] == ["Chrome on Windows", "Safari on iPhone"]
    assert (one.headers["location"], others.headers["location"]) == ("/account?done=session", "/account?done=sessions")
    ended = "/api/v1/sessions/0f8fad5b-d9cb-469f-a165-70867728950e"
    assert site.iam.changes == [("DELETE", ended), ("DELETE", "/api/v1/sessions")]


async def test_leaving_needs_the_password_and_a_tick(site: Site) -> None:
    person = Person()

    hasty = await site.post("/account", person, do="leave", leave_password=PASSWORD)
    empty = await site.post("/account", person, do="leave", sure="yes")
    meant = await site.post("/account", person, do="leave", sure="yes", leave_password=PASSWORD)

    assert (hasty.status_code, empty.status_code) == (422, 422)
    assert meant.headers["location"] == "/login?done=left"
    assert site.iam.changes == [("DELETE", "/api/v1/me")]
    assert any("banyan_session=" in cookie for cookie in meant.headers.get_list("set-cookie"))


async def test_a_wrong_present_password_is_said_under_its_field(site: Site) -> None:
    answer = await site.post("/account", Person(), do="password", old="not it", password="long enough")

    assert answer.status_code == 422
    assert "not your present password" in Page(answer.text).one("p", id="old-said").text


async def test_while_iam_is_away_the_account_says_so_and_learning_goes_on(lonely: httpx.AsyncClient) -> None:
    answer = await lonely.get("/account", headers={**Person().headers, "accept-language": "ko"})

    assert answer.status_code == 200
    assert "로그인은 유지되고" in answer.text


async def test_names_are_short_where_there_is_little_room_and_whole_in_the_menu(site: Site) -> None:
    course = replace(_course(site))

    page = Page((await site.seen_by(Person(name="남궁하늘"), f"/courses/{quote(course.slug)}")).text)

    assert page.texts("span", class_="initial") == ["남"]
    assert "남궁하늘" in page.one("p", class_="who-said").text
