"""Courses as rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias

import asyncpg

from banyan.infra.postgres import Connection
from banyan.learning.domain.courses import (
    Content,
    Course,
    CourseId,
    CourseUnknown,
    LessonOfAnotherCourse,
    PersonId,
    PersonUnknown,
    SlugTaken,
    Version,
    VersionId,
    VersionUnknown,
)

Record: TypeAlias = tuple[object, ...]

# The order of these tables is the order in which their rows can be loaded.
COLUMNS = {
    "person": ("id", "name", "email"),
    "course": (
        "id",
        "slug",
        "instructor_id",
        "draft_version_id",
        "published_version_id",
        "learners",
        "created_at",
        "published_at",
        "updated_at",
    ),
    "course_version": (
        "id",
        "course_id",
        "number",
        "revision",
        "title",
        "summary",
        "description",
        "outcomes",
        "language",
        "level",
        "category",
        "price",
        "lessons",
        "duration_seconds",
        "written_at",
    ),
    "section": ("version_id", "position", "course_id", "title"),
    "lesson": ("id", "course_id"),
    "lesson_version": (
        "version_id",
        "section_position",
        "position",
        "course_id",
        "lesson_id",
        "title",
        "kind",
        "preview",
        "duration_seconds",
        "body",
        "media",
    ),
    "publication": ("id", "course_id", "version_id", "published_by", "published_at"),
    "enrolment": ("id", "course_id", "person_id", "enrolled_at"),
}

INSERT_COURSE = """
INSERT INTO course (id, slug, instructor_id, draft_version_id, created_at) VALUES ($1, $2, $3, $4, $5)
"""

LOCK_COURSE = """
SELECT c.id, c.slug, c.instructor_id, c.published_version_id, c.published_at, c.updated_at,
       d.id AS draft_id, d.number, d.revision, d.lessons
FROM course c JOIN course_version d ON d.id = c.draft_version_id
WHERE c.id = $1
FOR UPDATE OF c
"""

LOAD_VERSION = "SELECT id, number, revision, lessons FROM course_version WHERE course_id = $1 AND id = $2"

SAVE_VERSION = """
INSERT INTO course_version (id, course_id, number, revision, title, summary, description, outcomes, language, level,
                            category, price, lessons, duration_seconds, written_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (id) DO UPDATE SET
    revision = excluded.revision, title = excluded.title, summary = excluded.summary,
    description = excluded.description, outcomes = excluded.outcomes, language = excluded.language,
    level = excluded.level, category = excluded.category, price = excluded.price, lessons = excluded.lessons,
    duration_seconds = excluded.duration_seconds, written_at = excluded.written_at
"""

POINT_AT_DRAFT = "UPDATE course SET draft_version_id = $2 WHERE id = $1"
CLEAR_LESSONS = "DELETE FROM lesson_version WHERE version_id = $1"
CLEAR_SECTIONS = "DELETE FROM section WHERE version_id = $1"
KEEP_LESSONS = "INSERT INTO lesson (id, course_id) SELECT unnest($1::uuid[]), $2 ON CONFLICT (id) DO NOTHING"
FOREIGN_LESSON = "SELECT id FROM lesson WHERE id = ANY($1) AND course_id <> $2 LIMIT 1"

POINT_AT_PUBLISHED = """
UPDATE course SET published_version_id = $2, published_at = $3, updated_at = $4 WHERE id = $1
"""
LOG_PUBLICATION = """
INSERT INTO publication (id, course_id, version_id, published_by, published_at) VALUES ($1, $2, $3, $4, $5)
"""

LOCK_CATALOGUE = "LOCK TABLE person, course IN SHARE ROW EXCLUSIVE MODE"
REFRESH_STATISTICS = f"ANALYZE {', '.join(COLUMNS)}"
KNOWN_PERSONS = "SELECT id FROM person WHERE id = ANY($1)"
KNOWN_SLUGS = "SELECT slug FROM course WHERE slug = ANY($1)"


async def insert_course(tx: Connection, course: Course, *, now: datetime) -> None:
    """Raises SlugTaken, PersonUnknown."""
    try:
        await tx.execute(INSERT_COURSE, course.id, course.slug, course.instructor_id, course.draft.id, now)
    except asyncpg.UniqueViolationError:
        raise SlugTaken from None
    except asyncpg.ForeignKeyViolationError:
        raise PersonUnknown from None


async def lock_course(tx: Connection, course_id: CourseId) -> Course:
    row = await tx.fetchrow(LOCK_COURSE, course_id)
    if row is None:
        raise CourseUnknown
    return Course(
        id=row["id"],
        slug=row["slug"],
        instructor_id=row["instructor_id"],
        draft=Version(id=row["draft_id"], number=row["number"], revision=row["revision"], lessons=row["lessons"]),
        published_version_id=row["published_version_id"],
        published_at=row["published_at"],
        updated_at=row["updated_at"],
    )


async def load_version(tx: Connection, course_id: CourseId, version_id: VersionId) -> Version:
    row = await tx.fetchrow(LOAD_VERSION, course_id, version_id)
    if row is None:
        raise VersionUnknown
    return Version(id=row["id"], number=row["number"], revision=row["revision"], lessons=row["lessons"])


async def save_draft(tx: Connection, course_id: CourseId, draft: Version, content: Content, *, now: datetime) -> None:
    """Write the draft whole and point the course at it. Raises LessonOfAnotherCourse."""
    lesson_ids = [lesson.id for lesson in content.lessons]
    await tx.execute(SAVE_VERSION, *version_record(course_id, draft, content, now=now))
    await tx.execute(POINT_AT_DRAFT, course_id, draft.id)
    await tx.execute(CLEAR_LESSONS, draft.id)
    await tx.execute(CLEAR_SECTIONS, draft.id)
    await tx.execute(KEEP_LESSONS, lesson_ids, course_id)
    if await tx.fetchval(FOREIGN_LESSON, lesson_ids, course_id) is not None:
        raise LessonOfAnotherCourse
    await load_rows(tx, "section", section_records(course_id, draft.id, content))
    await load_rows(tx, "lesson_version", lesson_records(course_id, draft.id, content))


async def save_published(
    tx: Connection, course: Course, *, publication_id: object, by: PersonId, now: datetime
) -> None:
    """Move the published pointer and log the move. Raises PersonUnknown."""
    await tx.execute(POINT_AT_PUBLISHED, course.id, course.published_version_id, course.published_at, course.updated_at)
    try:
        await tx.execute(LOG_PUBLICATION, publication_id, course.id, course.published_version_id, by, now)
    except asyncpg.ForeignKeyViolationError:
        raise PersonUnknown from None


async def lock_catalogue(tx: Connection) -> None:
    """Until the transaction ends nobody else adds people or courses; readers go on."""
    await tx.execute(LOCK_CATALOGUE)


async def refresh_statistics(tx: Connection) -> None:
    """Let the next plans know of many rows added at once; PostgreSQL itself would take a minute to notice."""
    await tx.execute(REFRESH_STATISTICS)


async def known_persons(tx: Connection, ids: Sequence[PersonId]) -> set[PersonId]:
    return {row["id"] for row in await tx.fetch(KNOWN_PERSONS, ids)}


async def known_slugs(tx: Connection, slugs: Sequence[str]) -> set[str]:
    return {row["slug"] for row in await tx.fetch(KNOWN_SLUGS, slugs)}


async def load_rows(tx: Connection, table: str, records: Iterable[Record]) -> None:
    """COPY whole rows, columns in the order of COLUMNS."""
    await tx.copy_records_to_table(table, records=records, columns=COLUMNS[table])


def version_record(course_id: CourseId, version: Version, content: Content, *, now: datetime) -> Record:
    return (
        version.id,
        course_id,
        version.number,
        version.revision,
        content.title,
        content.summary,
        content.description,
        list(content.outcomes),
        content.language,
        content.level,
        content.category,
        content.price,
        version.lessons,
        content.duration_seconds,
        now,
    )


def section_records(course_id: CourseId, version_id: VersionId, content: Content) -> list[Record]:
    return [
        (version_id, position, course_id, section.title) for position, section in enumerate(content.sections, start=1)
    ]


def lesson_records(course_id: CourseId, version_id: VersionId, content: Content) -> list[Record]:
    return [
        (
            version_id,
            section_position,
            position,
            course_id,
            lesson.id,
            lesson.title,
            lesson.kind,
            lesson.preview,
            lesson.duration_seconds,
            lesson.body,
            lesson.media,
        )
        for section_position, section in enumerate(content.sections, start=1)
        for position, lesson in enumerate(section.lessons, start=1)
    ]
