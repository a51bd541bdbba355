"""Enrolments as rows."""

from datetime import datetime

from banyan.infra.postgres import Connection
from banyan.learning.domain.courses import CourseId, CourseUnknown, LessonId, PersonId
from banyan.learning.domain.enrolments import Enrolment, EnrolmentId, LessonUnknown, NotEnrolled, Offer

# Of one row only: whoever waited for a lock sees the newest state of what is locked, and the old one of what is joined.
# Not FOR UPDATE, which the foreign keys of heartbeats would wait for.
LOCK_COURSE = "SELECT id, slug, published_version_id FROM course WHERE slug = $1 FOR NO KEY UPDATE"
LOAD_PRICE = "SELECT price FROM course_version WHERE id = $1"
LOAD_ENROLMENT = """
SELECT id, course_id, person_id, enrolled_at, completed_at
FROM enrolment WHERE course_id = $1 AND person_id = $2
"""
INSERT_ENROLMENT = "INSERT INTO enrolment (id, course_id, person_id, enrolled_at) VALUES ($1, $2, $3, $4)"
COUNT_LEARNER = "UPDATE course SET learners = learners + 1 WHERE id = $1 RETURNING learners"

# Heartbeats of one enrolment come one after another: two screens may play at the same time.
LOCK_ENROLMENT = """
SELECT e.id, e.course_id, e.person_id, e.enrolled_at, e.completed_at
FROM lesson l JOIN enrolment e ON e.course_id = l.course_id
WHERE l.id = $1 AND e.person_id = $2
FOR NO KEY UPDATE OF e
"""
IS_PUBLISHED = """
SELECT EXISTS (SELECT FROM lesson_version l JOIN course c ON c.published_version_id = l.version_id
               WHERE l.lesson_id = $1)
"""
COMPLETE = "UPDATE enrolment SET completed_at = $2 WHERE id = $1"


async def lock_course(tx: Connection, slug: str) -> Offer:
    """Until the transaction ends nobody else enrols in this course. Raises CourseUnknown, for a draft too."""
    course = await tx.fetchrow(LOCK_COURSE, slug)
    if course is None or course["published_version_id"] is None:
        raise CourseUnknown
    price = await tx.fetchval(LOAD_PRICE, course["published_version_id"])
    return Offer(course_id=course["id"], slug=course["slug"], price=price)


async def load_enrolment(tx: Connection, course_id: CourseId, person_id: PersonId) -> Enrolment | None:
    row = await tx.fetchrow(LOAD_ENROLMENT, course_id, person_id)
    return None if row is None else Enrolment(**dict(row))


async def add_enrolment(tx: Connection, enrolment: Enrolment) -> int:
    """Add the row and count it; answers how many learners the course has now."""
    await tx.execute(INSERT_ENROLMENT, enrolment.id, enrolment.course_id, enrolment.person_id, enrolment.enrolled_at)
    return int(await tx.fetchval(COUNT_LEARNER, enrolment.course_id))


async def lock_enrolment(tx: Connection, lesson_id: LessonId, person_id: PersonId) -> Enrolment:
    """Raises NotEnrolled, LessonUnknown."""
    row = await tx.fetchrow(LOCK_ENROLMENT, lesson_id, person_id)
    if row is None:
        raise NotEnrolled if await tx.fetchval(IS_PUBLISHED, lesson_id) else LessonUnknown
    return Enrolment(**dict(row))


async def complete(tx: Connection, enrolment_id: EnrolmentId, *, now: datetime) -> None:
    await tx.execute(COMPLETE, enrolment_id, now)
