"""The demo company's courses and people, loaded by COPY. Ids follow from numbers, so a second run adds nothing."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from banyan.demo.catalogue import (
    NAMESPACE,
    DemoCourse,
    DemoEnrolment,
    DemoPerson,
    account_id,
    enrolments,
)
from banyan.infra.postgres import Connection, Database
from banyan.learning.domain.courses import (
    Content,
    CourseId,
    Language,
    Lesson,
    LessonId,
    LessonKind,
    Level,
    PersonId,
    Section,
    Version,
    VersionId,
)
from banyan.learning.store import courses as store

_COURSES_AT_ONCE = 1000  # bounds the memory of a large seed


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many rows were missing and are there now."""

    people: int
    courses: int
    enrolments: int


async def fill(database: Database, *, courses: Iterable[DemoCourse], people: Sequence[DemoPerson]) -> Seeded:
    """Add the people and published courses that are not there yet, these with their learners. Rows that are there stay
    as they are, and no events are told. `people` are as many as the courses were made for."""
    added_people = await _add_people(database, people)
    added_courses = added_enrolments = 0
    remaining = iter(courses)
    while chunk := list(islice(remaining, _COURSES_AT_ONCE)):
        new_courses, new_enrolments = await _add_courses(database, chunk, audience=len(people))
        added_courses += new_courses
        added_enrolments += new_enrolments
    if added_people or added_courses:
        async with database.connection() as connection:
            await store.refresh_statistics(connection)
    return Seeded(added_people, added_courses, added_enrolments)


async def _add_people(database: Database, people: Sequence[DemoPerson]) -> int:
    async with database.transaction() as tx:
        await store.lock_catalogue(tx)
        known = await store.known_persons(tx, [_person_id(person.number) for person in people])
        missing = [person for person in people if _person_id(person.number) not in known]
        records = [(_person_id(person.number), person.name, person.email) for person in missing]
        await store.load_rows(tx, "person", records)
    return len(missing)


async def _add_courses(database: Database, courses: Sequence[DemoCourse], *, audience: int) -> tuple[int, int]:
    async with database.transaction() as tx:
        await store.lock_catalogue(tx)
        known = await store.known_slugs(tx, [course.slug for course in courses])
        missing = [course for course in courses if course.slug not in known]
        await _load(tx, missing)
        await store.load_rows(tx, "enrolment", map(_enrolment_record, enrolments(missing, people=audience)))
    return len(missing), sum(course.learners for course in missing)


@dataclass(frozen=True, slots=True)
class _Rows:
    """What to load, a list per table in the order in which it can be loaded."""

    course: list[store.Record] = field(default_factory=list)
    course_version: list[store.Record] = field(default_factory=list)
    section: list[store.Record] = field(default_factory=list)
    lesson: list[store.Record] = field(default_factory=list)
    lesson_version: list[store.Record] = field(default_factory=list)
    publication: list[store.Record] = field(default_factory=list)


async def _load(tx: Connection, courses: Sequence[DemoCourse]) -> None:
    rows = _Rows()
    for course in courses:
        _add_rows(rows, course)
    await store.load_rows(tx, "course", rows.course)
    await store.load_rows(tx, "course_version", rows.course_version)
    await store.load_rows(tx, "section", rows.section)
    await store.load_rows(tx, "lesson", rows.lesson)
    await store.load_rows(tx, "lesson_version", rows.lesson_version)
    await store.load_rows(tx, "publication", rows.publication)


def _add_rows(rows: _Rows, course: DemoCourse) -> None:
    course_id = _course_id(course.number)
    instructor_id, at = _person_id(course.instructor), course.published_on
    content = content_of(course)
    lesson_ids = [lesson.id for lesson in content.lessons]
    version = Version(id=VersionId(_id("version", course.number, 1)), number=1, revision=1, lessons=len(lesson_ids))
    rows.course.append((course_id, course.slug, instructor_id, version.id, version.id, course.learners, at, at, at))
    rows.course_version.append(store.version_record(course_id, version, content, now=at))
    rows.section.extend(store.section_records(course_id, version.id, content))
    rows.lesson.extend((lesson_id, course_id) for lesson_id in lesson_ids)
    rows.lesson_version.extend(store.lesson_records(course_id, version.id, content))
    rows.publication.append((_id("publication", course.number, 1), course_id, version.id, instructor_id, at))


def _enrolment_record(taken: DemoEnrolment) -> store.Record:
    enrolment_id = _id("enrolment", taken.course, taken.person)
    return enrolment_id, _course_id(taken.course), _person_id(taken.person), taken.enrolled_on


def content_of(course: DemoCourse) -> Content:
    return Content(
        title=course.title,
        summary=course.summary,
        description=course.description,
        outcomes=course.outcomes,
        language=Language(course.language),
        level=Level(course.level),
        category=course.category,
        price=course.price,
        sections=tuple(
            Section(
                title=section.title,
                lessons=tuple(
                    Lesson(
                        id=LessonId(_id("lesson", course.number, section_number, number)),
                        title=lesson.title,
                        kind=LessonKind(lesson.kind),
                        preview=lesson.preview,
                        duration_seconds=lesson.duration_seconds,
                        body=lesson.text,
                        media=lesson.clip,
                    )
                    for number, lesson in enumerate(section.lessons, start=1)
                ),
            )
            for section_number, section in enumerate(course.sections, start=1)
        ),
    )


def _person_id(number: int) -> PersonId:
    return PersonId(uuid.UUID(account_id(number)))


@lru_cache(maxsize=1)  # enrolments ask for the same course again and again
def _course_id(number: int) -> CourseId:
    return CourseId(_id("course", number))


def _id(kind: str, *numbers: int) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, f"{kind} {'.'.join(map(str, numbers))}")
