"""Progress as rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from banyan.infra.postgres import Connection
from banyan.learning.domain.courses import CourseId, LessonId, LessonKind
from banyan.learning.domain.enrolments import EnrolmentId, LessonUnknown
from banyan.learning.domain.progress import Lesson, LessonProgress, Ranges

# The other lessons' percents come along, so that the course's percent needs no question of its own.
LOAD_PROGRESS = """
SELECT l.kind, l.duration_seconds, p.watched, p.position, p.positioned_at, p.percent, p.completed_at, others.percents
FROM course c
JOIN lesson_version l ON l.version_id = c.published_version_id
LEFT JOIN lesson_progress p ON p.enrolment_id = $2 AND p.lesson_id = l.lesson_id
CROSS JOIN LATERAL (
    SELECT array_agg(coalesce(op.percent, 0)) AS percents
    FROM lesson_version o LEFT JOIN lesson_progress op ON op.enrolment_id = $2 AND op.lesson_id = o.lesson_id
    WHERE o.version_id = l.version_id AND o.lesson_id <> l.lesson_id
) AS others
WHERE c.id = $1 AND l.lesson_id = $3
"""
SAVE_PROGRESS = """
INSERT INTO lesson_progress AS known
    (enrolment_id, lesson_id, percent, position, positioned_at, watched, started_at, completed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (enrolment_id, lesson_id) DO UPDATE SET
    percent = excluded.percent, position = excluded.position, positioned_at = excluded.positioned_at,
    watched = excluded.watched, completed_at = coalesce(known.completed_at, excluded.completed_at)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    lesson: Lesson
    progress: LessonProgress | None
    other_percents: Sequence[int]


async def load(tx: Connection, course_id: CourseId, enrolment_id: EnrolmentId, lesson_id: LessonId) -> Loaded:
    """The lesson as it is published, how far this enrolment is in it, and in the others. Raises LessonUnknown."""
    row = await tx.fetchrow(LOAD_PROGRESS, course_id, enrolment_id, lesson_id)
    if row is None:
        raise LessonUnknown
    lesson = Lesson(kind=LessonKind(row["kind"]), duration_seconds=row["duration_seconds"])
    progress = None
    if row["watched"] is not None:
        progress = LessonProgress(
            watched=ranges(row["watched"]),
            position=row["position"],
            positioned_at=row["positioned_at"],
            percent=row["percent"],
        )
    return Loaded(lesson=lesson, progress=progress, other_percents=row["percents"] or ())


async def save(
    tx: Connection, enrolment_id: EnrolmentId, lesson_id: LessonId, progress: LessonProgress, *, now: datetime
) -> None:
    await tx.execute(
        SAVE_PROGRESS,
        enrolment_id,
        lesson_id,
        progress.percent,
        progress.position,
        progress.positioned_at,
        list(chain.from_iterable(progress.watched)),
        now,
        now if progress.completed else None,
    )


def ranges(flat: Sequence[int]) -> Ranges:
    return tuple(zip(flat[::2], flat[1::2], strict=True))
