"""What somebody sees of the courses they take: lists, progress, lessons."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from banyan.contracts import learning as wire
from banyan.infra.postgres import Database, Row
from banyan.kit import paging
from banyan.kit.paging import DEFAULT_LIMIT, CursorNotOurs
from banyan.learning.domain.courses import CourseUnknown, LessonId, PersonId
from banyan.learning.domain.enrolments import LessonUnknown, NotEnrolled
from banyan.learning.domain.progress import TICKS_PER_SECOND

# A course's percent is the same sum wherever it is shown: each lesson of the published version counts alike. To go on
# with: the lesson last heard of or, once it is completed, the next open one after it, or else before it.
_TAKEN = """
SELECT e.id::text, c.slug AS course, v.title, taken.percent, e.enrolled_at, e.completed_at, v.language, v.category,
       coalesce(t.name, '') AS instructor, v.lessons, taken.completed AS lessons_completed, taken.resume
FROM enrolment e
JOIN course c ON c.id = e.course_id
JOIN course_version v ON v.id = c.published_version_id
LEFT JOIN person t ON t.id = c.instructor_id
LEFT JOIN LATERAL (
    SELECT l.section_position, l.position
    FROM lesson_progress p JOIN lesson_version l ON l.lesson_id = p.lesson_id AND l.version_id = v.id
    WHERE p.enrolment_id = e.id ORDER BY p.positioned_at DESC, l.section_position DESC, l.position DESC LIMIT 1
) AS last ON true
CROSS JOIN LATERAL (
    SELECT (sum(coalesce(p.percent, 0)) / count(*))::integer AS percent, count(p.completed_at)::integer AS completed,
           (array_agg(ARRAY[l.lesson_id::text, l.title]
                      ORDER BY p.completed_at IS NOT NULL,
                               (l.section_position, l.position) < (last.section_position, last.position),
                               l.section_position, l.position))[1:1] AS resume
    FROM lesson_version l LEFT JOIN lesson_progress p ON p.enrolment_id = e.id AND p.lesson_id = l.lesson_id
    WHERE l.version_id = v.id
) AS taken
WHERE e.person_id = $1 AND
"""
ENROLMENTS = _TAKEN + "(e.enrolled_at, e.id) < ($2, $3) ORDER BY e.enrolled_at DESC, e.id DESC LIMIT $4"
ENROLMENT = _TAKEN + "c.slug = $2"

_SECTIONS = """
    SELECT json_agg(json_build_object('title', s.title, 'lessons', s.lessons) ORDER BY s.position) AS sections,
           floor(sum(s.percents) / sum(s.count))::integer AS percent
    FROM (
        SELECT s.position, s.title, coalesce(sum(p.percent), 0) AS percents, count(l.lesson_id) AS count,
               coalesce(json_agg(json_build_object('id', l.lesson_id, 'title', l.title, 'kind', l.kind,
                                                   'preview', l.preview, 'duration_seconds', l.duration_seconds,
                                                   'percent', coalesce(p.percent, 0))
                                 ORDER BY l.position) FILTER (WHERE l.lesson_id IS NOT NULL), '[]') AS lessons
        FROM section s
        LEFT JOIN lesson_version l ON l.version_id = s.version_id AND l.section_position = s.position
        LEFT JOIN lesson_progress p ON p.enrolment_id = e.id AND p.lesson_id = l.lesson_id
        WHERE s.version_id = c.published_version_id
        GROUP BY s.position, s.title
    ) AS s
"""

LESSON = """
SELECT l.lesson_id::text AS id, l.title, l.kind, l.preview, l.duration_seconds, l.body AS text, l.media,
       c.slug AS course, v.title AS course_title, v.language, e.id IS NOT NULL AS enrolled,
       p.percent, p.position, p.watched, curriculum.percent AS course_percent, curriculum.sections
FROM lesson_version l
JOIN course c ON c.published_version_id = l.version_id
JOIN course_version v ON v.id = l.version_id
LEFT JOIN enrolment e ON e.course_id = c.id AND e.person_id = $2
LEFT JOIN lesson_progress p ON p.enrolment_id = e.id AND p.lesson_id = l.lesson_id
CROSS JOIN LATERAL (curriculum) AS curriculum
WHERE l.lesson_id = $1
""".replace("(curriculum)", f"({_SECTIONS})")

CURRICULUM = """
SELECT curriculum.sections
FROM course c LEFT JOIN enrolment e ON e.course_id = c.id AND e.person_id = $1
CROSS JOIN LATERAL (curriculum) AS curriculum
WHERE c.slug = $2 AND c.published_version_id IS NOT NULL
""".replace("(curriculum)", f"({_SECTIONS})")

_sections = msgspec.json.Decoder(list[wire.TakenSection])
_BEFORE_ALL = (datetime(9999, 1, 1, tzinfo=UTC), uuid.UUID(int=2**128 - 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonSeen:
    """A lesson and its curriculum, before anybody has decided who may have the content."""

    page: wire.LessonPage
    media: str


class Taking:
    """The courses that somebody takes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrolments(
        self, person_id: PersonId, *, limit: int = DEFAULT_LIMIT, after: str | None = None
    ) -> wire.EnrolmentPage:
        """The newest first. Raises CursorNotOurs."""
        key = _BEFORE_ALL if after is None else _key(after)
        rows = await self._database.fetch(ENROLMENTS, person_id, *key, limit + 1)
        items = [_enrolment(row) for row in rows[:limit]]
        more = len(rows) > limit
        return wire.EnrolmentPage(
            items=items,
            next=paging.encode_cursor(items[-1].enrolled_at.isoformat(), items[-1].id) if more else None,
        )

    async def enrolment(self, person_id: PersonId, slug: str) -> wire.Enrolment:
        """Raises NotEnrolled."""
        row = await self._database.fetchrow(ENROLMENT, person_id, slug)
        if row is None:
            raise NotEnrolled
        return _enrolment(row)

    async def progress(self, person_id: PersonId, slug: str) -> wire.CourseProgress:
        """Raises CourseUnknown, NotEnrolled."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ENROLMENT, person_id, slug)
            sections = await connection.fetchval(CURRICULUM, person_id, slug)
        if sections is None:
            raise CourseUnknown
        if row is None:
            raise NotEnrolled
        taken = _enrolment(row)
        return wire.CourseProgress(
            course=taken.course,
            title=taken.title,
            percent=taken.percent,
            enrolled_at=taken.enrolled_at,
            completed_at=taken.completed_at,
            resume=taken.resume,
            sections=_sections.decode(sections),
        )

    async def lesson(self, person_id: PersonId | None, lesson_id: LessonId, *, now: datetime) -> LessonSeen:
        """A lesson of a published course with its neighbours. Raises LessonUnknown."""
        row = await self._database.fetchrow(LESSON, lesson_id, person_id)
        if row is None:
            raise LessonUnknown
        facts = dict(row)
        sections = _sections.decode(facts.pop("sections"))
        lessons = [lesson for section in sections for lesson in section.lessons]
        at = next(index for index, lesson in enumerate(lessons) if lesson.id == facts["id"])
        position, watched, percent = facts.pop("position"), facts.pop("watched"), facts.pop("percent")
        media, course_percent = facts.pop("media"), facts.pop("course_percent")
        progress = None
        if facts["enrolled"]:
            progress = lesson_progress(percent=percent or 0, position=position or 0, watched=watched or ())
        page = wire.LessonPage(
            **facts,
            media=None,
            progress=progress,
            course_percent=course_percent if facts["enrolled"] else None,
            previous=_link(lessons[at - 1]) if at > 0 else None,
            next=_link(lessons[at + 1]) if at + 1 < len(lessons) else None,
            sections=sections,
            now=now,
        )
        return LessonSeen(page=page, media=media)


def with_media(page: wire.LessonPage, media: wire.Media) -> wire.LessonPage:
    return replace(page, media=media)


def lesson_progress(*, percent: int, position: int, watched: Sequence[int]) -> wire.LessonProgress:
    """From half seconds, as they are kept, to seconds."""
    times = [tick / TICKS_PER_SECOND for tick in watched]
    return wire.LessonProgress(
        percent=percent,
        completed=percent == 100,
        position_seconds=position / TICKS_PER_SECOND,
        watched=list(zip(times[::2], times[1::2], strict=True)),
    )


def _enrolment(row: Row) -> wire.Enrolment:
    facts = dict(row)
    [resume] = facts.pop("resume")
    return wire.Enrolment(**facts, resume=wire.LessonLink(*resume))


def _link(lesson: wire.TakenLesson) -> wire.LessonLink:
    return wire.LessonLink(lesson.id, lesson.title)


def _key(cursor: str) -> tuple[datetime, uuid.UUID]:
    at, last = paging.decode_cursor(cursor, str, str)
    try:
        key = datetime.fromisoformat(str(at)), uuid.UUID(str(last))
    except ValueError:
        raise CursorNotOurs from None
    if key[0].tzinfo is not UTC:
        raise CursorNotOurs
    return key
