"""Drafts, versions and the published pointer."""

import asyncio
import dataclasses
from datetime import timedelta

import asyncpg
import pytest

from banyan.kit import ids
from banyan.learning.domain import courses as domain
from banyan.learning.domain.courses import VersionId
from banyan.learning.queries.catalogue import Catalogue, Filter

from .school import START, School, content, lesson, section


async def test_a_draft_is_not_listed(school: School) -> None:
    await school.draft("스프링-부트")

    page = await Catalogue(school.database).courses(Filter(), sort="newest")

    assert (page.items, page.total) == ([], 0)
    with pytest.raises(domain.CourseUnknown):
        await Catalogue(school.database).course("스프링-부트")


async def test_learners_see_the_published_version_while_the_next_draft_is_written(school: School) -> None:
    course = await school.publish("course", content("Before"))
    draft = await school.courses.write_draft(course_id=course.id, revision=1, content=content("After"), now=START)
    catalogue = Catalogue(school.database)

    assert (await catalogue.course("course")).title == "Before"

    later = START + timedelta(days=1)
    await school.courses.publish(course_id=course.id, version_id=draft.id, by=school.instructor, now=later)
    shown = await catalogue.course("course")
    assert shown.title == "After"
    assert (shown.published_at, shown.updated_at) == (START, later)


async def test_publishing_moves_everything_at_once(school: School) -> None:
    course = await school.publish("course", content("1", ["1"]))
    catalogue = Catalogue(school.database)
    seen = set()
    all_published = asyncio.Event()

    async def read() -> None:
        ended = False
        while not ended:
            ended = all_published.is_set()
            shown = await catalogue.course("course")
            titles = [lesson.title for section in shown.sections for lesson in section.lessons]
            assert titles == [shown.title] * int(shown.title)
            assert shown.lessons == int(shown.title)
            seen.add(shown.title)

    async def publish_more() -> None:
        for number in range(2, 8):
            title = str(number)
            draft = await school.courses.write_draft(
                course_id=course.id, revision=number - 1, content=content(title, [title] * number), now=START
            )
            now = START + timedelta(hours=number)
            await school.courses.publish(course_id=course.id, version_id=draft.id, by=school.instructor, now=now)
        all_published.set()

    await asyncio.gather(read(), read(), publish_more())
    assert {"1", "7"} <= seen


async def test_the_pointer_can_move_back_and_every_move_is_logged(school: School) -> None:
    course = await school.publish("course", content("First"))
    draft = await school.courses.write_draft(course_id=course.id, revision=1, content=content("Second"), now=START)
    for version in (draft.id, course.draft.id):
        await school.courses.publish(course_id=course.id, version_id=version, by=school.instructor, now=START)

    assert (await Catalogue(school.database).course("course")).title == "First"
    log = await school.database.fetch("SELECT version_id FROM publication ORDER BY id")
    assert [row["version_id"] for row in log] == [course.draft.id, draft.id, course.draft.id]


async def test_two_editors_do_not_overwrite_each_other(school: School) -> None:
    course = await school.draft("course")
    await school.courses.write_draft(course_id=course.id, revision=1, content=content("Mine"), now=START)

    with pytest.raises(domain.DraftChanged):
        await school.courses.write_draft(course_id=course.id, revision=1, content=content("Yours"), now=START)

    titles = await school.database.fetch("SELECT title FROM course_version")
    assert [row["title"] for row in titles] == ["Mine"]


async def test_a_lesson_stays_the_same_lesson_when_a_version_renames_and_moves_it(school: School) -> None:
    kept, dropped = lesson("Old name"), lesson("Dropped")
    course = await school.publish("course", content(sections=(section(dropped, kept),)))
    renamed = dataclasses.replace(kept, title="New name")
    moved = content(sections=(section(), section(renamed, lesson("Added"))))

    draft = await school.courses.write_draft(course_id=course.id, revision=1, content=moved, now=START)
    await school.courses.publish(course_id=course.id, version_id=draft.id, by=school.instructor, now=START)

    shown = await Catalogue(school.database).course("course")
    assert [lesson.title for lesson in shown.sections[1].lessons] == ["New name", "Added"]
    assert shown.sections[1].lessons[0].id == str(kept.id)


async def test_a_course_takes_no_lesson_of_another(school: School) -> None:
    theirs = lesson("Theirs")
    await school.draft("theirs", content(sections=(section(theirs),)))

    with pytest.raises(domain.LessonOfAnotherCourse):
        await school.draft("mine", content(sections=(section(theirs),)))
    assert await school.database.fetchval("SELECT count(*) FROM course") == 1


async def test_what_cannot_be_published(school: School) -> None:
    empty = await school.draft("empty", content(sections=()))
    ready = await school.publish("ready")
    stranger = domain.PersonId(ids.uuid7())
    unknown = VersionId(ids.uuid7())

    for course, version, by, refusal in (
        (empty, empty.draft.id, school.instructor, domain.NoLessons),
        (ready, ready.draft.id, school.instructor, domain.AlreadyPublished),
        (ready, unknown, school.instructor, domain.VersionUnknown),
        (ready, empty.draft.id, school.instructor, domain.VersionUnknown),
        (dataclasses.replace(ready, id=domain.CourseId(unknown)), ready.draft.id, stranger, domain.CourseUnknown),
    ):
        with pytest.raises(refusal):
            await school.courses.publish(course_id=course.id, version_id=version, by=by, now=START)

    other = await school.draft("other")
    with pytest.raises(domain.PersonUnknown):
        await school.courses.publish(course_id=other.id, version_id=other.draft.id, by=stranger, now=START)
    assert (await Catalogue(school.database).courses(Filter(), sort="newest")).total == 1


async def test_an_address_belongs_to_one_course_in_either_normal_form(school: School) -> None:
    await school.draft("한글")

    with pytest.raises(domain.SlugTaken):
        await school.draft("\u1112\u1161\u11ab\u1100\u1173\u11af")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE course_version SET price = 1",
        "DELETE FROM lesson_version",
        "UPDATE section SET title = 'x'",
        "INSERT INTO section SELECT version_id, 9, course_id, 'x' FROM section",
        "INSERT INTO lesson_version SELECT version_id, section_position, 9, course_id, gen_random_uuid(), title, kind,"
        " preview, 1 FROM lesson_version",
        "UPDATE publication SET published_at = now()",
        "DELETE FROM publication",
    ],
)
async def test_the_database_itself_refuses_to_change_what_was_published(school: School, change: str) -> None:
    await school.publish("course")

    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await school.database.fetch(change)


async def test_a_pointer_leads_to_no_other_course(school: School) -> None:
    first, second = await school.draft("first"), await school.draft("second")

    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await school.database.fetch("UPDATE course SET draft_version_id = $2 WHERE id = $1", first.id, second.draft.id)


def test_an_address_is_words_of_any_script() -> None:
    for slug in ("스프링-부트", "c_sharp-12", "日本語", "caf\u00e9"):
        assert domain.usable_slug(slug) == slug
    assert domain.usable_slug("cafe\u0301") == "caf\u00e9"
    for slug in ("", "-", "a--b", "a-", "Upper", "a b", "a/b", "..", "a.b", "a\x00", "\ufffd", "a" * 101, "a\n"):
        with pytest.raises(domain.SlugNotUsable):
            domain.usable_slug(slug)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"title": " "}, domain.TextNotUsable),
        ({"title": "a" * 201}, domain.TextNotUsable),
        ({"description": "a\x00b"}, domain.TextNotUsable),
        ({"description": "\ud800"}, domain.TextNotUsable),
        ({"category": "Two Words"}, domain.TextNotUsable),
        ({"price": -1}, domain.NumberNotUsable),
        ({"price": 2**31}, domain.NumberNotUsable),
        ({"outcomes": ("x",) * 21}, domain.NumberNotUsable),
    ],
)
def test_what_a_course_may_not_say(change: dict[str, object], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        content(**change).checked()


def test_a_lesson_is_in_a_course_once() -> None:
    twice = lesson("Twice")

    with pytest.raises(domain.LessonTwice):
        content(sections=(section(twice), section(twice))).checked()
