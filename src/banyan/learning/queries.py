"""What learners see: SQL straight into the answers' types. Only published versions; drafts are not in here."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import msgspec

from banyan.contracts import learning as wire
from banyan.infra.postgres import Database
from banyan.kit import paging
from banyan.kit.paging import CursorNotOurs
from banyan.learning.domain import CourseUnknown

# A page and the total in one round trip and one snapshot; the total is there even when the page is empty. The first
# columns of `wanted` are the fields of CourseCard in their order.
_PAGE = """
WITH wanted AS NOT MATERIALIZED (
    SELECT c.id::text, c.slug, v.title, v.summary, v.language, v.level, v.category, v.price, c.learners, v.lessons,
           v.duration_seconds, p.name AS instructor, c.published_at, c.id AS key
    FROM course c
    JOIN course_version v ON v.id = c.published_version_id
    LEFT JOIN person p ON p.id = c.instructor_id
    WHERE ($1::text IS NULL OR v.language = $1) AND ($2::text IS NULL OR v.level = $2)
      AND ($3::text IS NULL OR v.category = $3) AND ($4::boolean IS NULL OR (v.price = 0) = $4)
)
SELECT (SELECT count(*) FROM wanted) AS total, page.*
FROM (VALUES (1)) AS always
LEFT JOIN (
    SELECT * FROM wanted WHERE (published_at, key) < ($5, $6) ORDER BY published_at DESC, key DESC LIMIT $7
) AS page ON true
ORDER BY page.published_at DESC, page.key DESC
"""

NEWEST = _PAGE
POPULAR = _PAGE.replace("published_at DESC", "learners DESC").replace("(published_at, key)", "(learners, key)")
NEWEST_MATCHING = NEWEST.replace("WHERE ($1", "WHERE v.title ILIKE $8 AND ($1")
POPULAR_MATCHING = POPULAR.replace("WHERE ($1", "WHERE v.title ILIKE $8 AND ($1")

COURSE = """
SELECT c.id::text, c.slug, v.title, v.summary, v.description, v.outcomes, v.language, v.level, v.category, v.price,
       c.learners, v.lessons, v.duration_seconds, p.name AS instructor, c.published_at, c.updated_at,
       (SELECT json_agg(json_build_object('title', s.title, 'lessons', coalesce(
            (SELECT json_agg(json_build_object('id', l.lesson_id, 'title', l.title, 'kind', l.kind,
                                               'preview', l.preview, 'duration_seconds', l.duration_seconds)
                             ORDER BY l.position)
             FROM lesson_version l WHERE l.version_id = s.version_id AND l.section_position = s.position), '[]'))
                        ORDER BY s.position)
        FROM section s WHERE s.version_id = v.id) AS sections
FROM course c
JOIN course_version v ON v.id = c.published_version_id
JOIN person p ON p.id = c.instructor_id
WHERE c.slug = $1
"""

IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM course)"

_sections = msgspec.json.Decoder(list[wire.Section])

Sort = Literal["newest", "popular"]

_LAST_ID = uuid.UUID(int=2**128 - 1)
_BEFORE_ALL: dict[Sort, tuple[object, uuid.UUID]] = {
    "newest": (datetime(9999, 1, 1, tzinfo=UTC), _LAST_ID),
    "popular": (2**31 - 1, _LAST_ID),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which courses; None leaves a question open. `text` is part of the title, NFC."""

    language: wire.Language | None = None
    level: wire.Level | None = None
    category: str | None = None
    free: bool | None = None
    text: str | None = None


async def published_courses(
    database: Database, wanted: Filter, *, sort: Sort, limit: int, after: str | None = None
) -> wire.CoursePage:
    """A page of the course list. Raises CursorNotOurs."""
    key = _BEFORE_ALL[sort] if after is None else _key(sort, after)
    arguments = [wanted.language, wanted.level, wanted.category, wanted.free, *key, limit + 1]
    if wanted.text is None:
        rows = await database.fetch(NEWEST if sort == "newest" else POPULAR, *arguments)
    else:
        sql = NEWEST_MATCHING if sort == "newest" else POPULAR_MATCHING
        rows = await database.fetch(sql, *arguments, f"%{_escaped(wanted.text)}%")
    total = rows[0]["total"]
    cards = [wire.CourseCard(*row[1:-1]) for row in rows if row["key"] is not None]
    more = len(cards) > limit
    return wire.CoursePage(items=cards[:limit], next=_cursor(sort, cards[limit - 1]) if more else None, total=total)


async def course_page(database: Database, slug: str) -> wire.Course:
    """The published version of a course. Raises CourseUnknown, for a draft too."""
    row = await database.fetchrow(COURSE, slug)
    if row is None:
        raise CourseUnknown
    facts = dict(row)
    facts["sections"] = _sections.decode(facts["sections"] or "[]")
    return wire.Course(**facts)


async def is_empty(database: Database) -> bool:
    """Whether there is no course at all, not even a draft."""
    return bool(await database.fetchval(IS_EMPTY))


def _cursor(sort: Sort, last: wire.CourseCard) -> str:
    return paging.encode_cursor(last.published_at.isoformat() if sort == "newest" else last.learners, last.id)


def _key(sort: Sort, cursor: str) -> tuple[object, uuid.UUID]:
    value, text = paging.decode_cursor(cursor, str if sort == "newest" else int, str)
    try:
        last = uuid.UUID(str(text))
        moment = datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        raise CursorNotOurs from None
    if moment is not None:
        return moment, last
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise CursorNotOurs
    return value, last


def _escaped(text: str) -> str:
    """Text as a LIKE pattern that means just itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
