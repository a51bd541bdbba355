"""Heartbeats."""

from dataclasses import dataclass
from datetime import datetime

from banyan.contracts.events import CourseCompleted, LessonCompleted, LessonStarted
from banyan.infra.postgres import Connection, Database
from banyan.learning.domain import progress as domain
from banyan.learning.domain.courses import LessonId, PersonId
from banyan.learning.domain.enrolments import Enrolment
from banyan.learning.domain.progress import Heartbeat, LessonProgress
from banyan.learning.store import enrolments
from banyan.learning.store import progress as store
from banyan.messaging import outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where somebody is in a lesson and in its course."""

    lesson: LessonProgress
    course_percent: int
    course_completed: bool


class Progress:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def hear(self, *, person_id: PersonId, lesson_id: LessonId, beat: Heartbeat, now: datetime) -> Standing:
        """Take a heartbeat in. Raises NotEnrolled, LessonUnknown."""
        async with self._database.transaction() as tx:
            enrolment = await enrolments.lock_enrolment(tx, lesson_id, person_id)
            known = await store.load(tx, enrolment.course_id, enrolment.id, lesson_id)
            before = known.progress
            after = domain.begun(beat, known.lesson) if before is None else before.heard(beat, known.lesson)
            percent = domain.course_percent([*known.other_percents, after.percent])
            completed_now = percent == 100 and enrolment.completed_at is None
            if after != before:
                await store.save(tx, enrolment.id, lesson_id, after, now=now)
            if completed_now:
                await enrolments.complete(tx, enrolment.id, now=now)
            await _tell(tx, enrolment, lesson_id, before, after, course_completed=completed_now, now=now)
        return Standing(
            lesson=after,
            course_percent=percent,
            course_completed=completed_now or enrolment.completed_at is not None,
        )


async def _tell(
    tx: Connection,
    enrolment: Enrolment,
    lesson_id: LessonId,
    before: LessonProgress | None,
    after: LessonProgress,
    *,
    course_completed: bool,
    now: datetime,
) -> None:
    enrolment_id, course_id, account_id = str(enrolment.id), str(enrolment.course_id), str(enrolment.person_id)
    if before is None:
        await outbox.add(
            tx,
            LessonStarted(
                enrolment_id=enrolment_id, course_id=course_id, lesson_id=str(lesson_id), account_id=account_id, at=now
            ),
        )
    if after.completed and not (before is not None and before.completed):
        await outbox.add(
            tx,
            LessonCompleted(
                enrolment_id=enrolment_id, course_id=course_id, lesson_id=str(lesson_id), account_id=account_id, at=now
            ),
        )
    if course_completed:
        await outbox.add(
            tx, CourseCompleted(enrolment_id=enrolment_id, course_id=course_id, account_id=account_id, at=now)
        )
