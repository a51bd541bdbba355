"""What learners see: SQL straight into the answers' types. Only published versions; drafts are not in here."""

import itertools
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Literal

import msgspec

from banyan.contracts import learning as wire
from banyan.infra.postgres import Database
from banyan.kit import paging
from banyan.kit.paging import DEFAULT_LIMIT, CursorNotOurs
from banyan.learning.domain.courses import CourseUnknown

Sort = Literal["newest", "popular"]

# A page and the total in one round trip and one snapshot; a row is there even when the page is empty. The columns of
# `wanted` but the last are the fields of CourseCard in their order. `total` is NULL where the reader knows it already.
_PAGE = """
WITH wanted AS NOT MATERIALIZED (
    SELECT c.id::text, c.slug, v.title, v.summary, v.language, v.level, v.category, v.price, c.learners, v.lessons,
           v.duration_seconds, p.name AS instructor, c.published_at, c.id AS key
    FROM course c
    JOIN course_version v ON v.id = c.published_version_id
    LEFT JOIN person p ON p.id = c.instructor_id
    WHERE true
)
SELECT generation, CASE WHEN generation <> $4 THEN (SELECT count(*) FROM wanted) END AS total, page.*
FROM catalogue
LEFT JOIN (
    SELECT * FROM wanted WHERE (published_at, key) < ($1, $2) ORDER BY published_at DESC, key DESC LIMIT $3
) AS page ON true
ORDER BY page.published_at DESC, page.key DESC
"""

# Only what is asked for is in the statement: with `$5 IS NULL OR ...` PostgreSQL's plans are several times slower.
CONDITIONS = {
    "language": "v.language = ?",
    "level": "v.level = ?",
    "category": "v.category = ?",
    "free": "v.price = 0",
    "paid": "v.price > 0",
    "text by index": "v.title_lower LIKE lower(?)",
    "text by walk": "strpos(v.title_lower, lower(?)) > 0",
}
_SHORTEST_INDEXED = 3  # a trigram; for fewer characters the index would be read whole
_COMMON = 500  # a text in so many titles is found sooner by walking down the list than by fetching all that have it


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

_NEVER = -1  # no generation of the catalogue
_MOST_TOTALS = 1000

_LAST_ID = uuid.UUID(int=2**128 - 1)
_BEFORE_ALL: dict[Sort, tuple[object, uuid.UUID]] = {
    "newest": (datetime(9999, 1, 1, tzinfo=UTC), _LAST_ID),
    "popular": (2**31 - 1, _LAST_ID),
}


@cache
def page_sql(sort: Sort, conditions: tuple[str, ...]) -> str:
    """The statement for a page; `$1, $2, $3, $4` are the key, the limit and the known generation."""
    number = itertools.count(5)
    clauses = ["WHERE true"]
    for clause in map(CONDITIONS.__getitem__, conditions):
        clauses.append(clause.replace("?", f"${next(number)}") if "?" in clause else clause)
    sql = _PAGE.replace("WHERE true", " AND ".join(clauses))
    if sort == "popular":
        sql = sql.replace("(published_at, key)", "(learners, key)").replace("published_at DESC", "learners DESC")
    return sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which courses; None leaves a question open. `text` is part of the title, NFC."""

    language: wire.Language | None = None
    level: wire.Level | None = None
    category: str | None = None
    free: bool | None = None
    text: str | None = None


class Catalogue:
    """The published courses."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._totals: dict[Filter, tuple[int, int]] = {}

    async def courses(
        self, wanted: Filter, *, sort: Sort, limit: int = DEFAULT_LIMIT, after: str | None = None
    ) -> wire.CoursePage:
        """A page of the course list. Raises CursorNotOurs."""
        key = _BEFORE_ALL[sort] if after is None else _key(sort, after)
        generation, total = self._totals.get(wanted, (_NEVER, 0))
        asked = _conditions(wanted, common=total > _COMMON)
        sql = page_sql(sort, tuple(asked))
        values = [value for value in asked.values() if value is not None]
        rows = await self._database.fetch(sql, *key, limit + 1, generation, *values)
        if rows[0]["total"] is not None:
            total = rows[0]["total"]
            self._note_total(wanted, rows[0]["generation"], total)
        cards = [wire.CourseCard(*row[2:-1]) for row in rows if row["key"] is not None]
        more = len(cards) > limit
        return wire.CoursePage(items=cards[:limit], next=_cursor(sort, cards[limit - 1]) if more else None, total=total)

    async def course(self, slug: str) -> wire.Course:
        """The published version of a course. Raises CourseUnknown, for a draft too."""
        row = await self._database.fetchrow(COURSE, slug)
        if row is None:
            raise CourseUnknown
        facts = dict(row)
        facts["sections"] = _sections.decode(facts["sections"] or "[]")
        return wire.Course(**facts)

    def _note_total(self, wanted: Filter, generation: int, total: int) -> None:
        if len(self._totals) >= _MOST_TOTALS:  # texts are anybody's choice
            self._totals.clear()
        self._totals[wanted] = (generation, total)


async def is_empty(database: Database) -> bool:
    """Whether there is no course at all, not even a draft."""
    return bool(await database.fetchval(IS_EMPTY))


def _conditions(wanted: Filter, *, common: bool) -> dict[str, str | None]:
    """The conditions that the filter asks for, with the value of those that have one."""
    asked: dict[str, str | None] = {}
    if wanted.language is not None:
        asked["language"] = wanted.language
    if wanted.level is not None:
        asked["level"] = wanted.level
    if wanted.category is not None:
        asked["category"] = wanted.category
    if wanted.free is not None:
        asked["free" if wanted.free else "paid"] = None
    if wanted.text is not None and (common or len(wanted.text) < _SHORTEST_INDEXED):
        asked["text by walk"] = wanted.text
    elif wanted.text is not None:
        asked["text by index"] = f"%{_escaped(wanted.text)}%"
    return asked


def _cursor(sort: Sort, last: wire.CourseCard) -> str:
    return paging.encode_cursor(last.published_at.isoformat() if sort == "newest" else last.learners, last.id)


def _key(sort: Sort, cursor: str) -> tuple[object, uuid.UUID]:
    value, text = paging.decode_cursor(cursor, str if sort == "newest" else int, str)
    try:
        last = uuid.UUID(str(text))
        place = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise CursorNotOurs from None
    if isinstance(place, datetime) and place.tzinfo is UTC:
        return place, last
    if isinstance(place, int) and 0 <= place < 2**31:
        return place, last
    raise CursorNotOurs


def _escaped(text: str) -> str:
    """Text as a LIKE pattern that means just itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
