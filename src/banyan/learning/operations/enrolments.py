"""Enrolling."""

from dataclasses import dataclass
from datetime import datetime

from banyan.contracts.events import StudentEnrolled
from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.learning.domain import enrolments as domain
from banyan.learning.domain.courses import PersonId
from banyan.learning.domain.enrolments import Enrolment, EnrolmentId
from banyan.learning.store import enrolments as store
from banyan.messaging import outbox


@dataclass(frozen=True, slots=True)
class Enrolled:
    """`first`: nobody had asked for it before."""

    enrolment: Enrolment
    first: bool


class Enrolments:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def enrol(self, *, slug: str, person_id: PersonId, now: datetime) -> Enrolled:
        """Once, however often it is asked for. Raises CourseUnknown, PaymentRequired."""
        async with self._database.transaction() as tx:
            offer = await store.lock_course(tx, slug)
            known = await store.load_enrolment(tx, offer.course_id, person_id)
            if known is not None:
                return Enrolled(known, first=False)
            enrolment = domain.enrol(offer, person_id, new_id=EnrolmentId(ids.uuid7()), now=now)
            learners = await store.add_enrolment(tx, enrolment)
            event = StudentEnrolled(
                enrolment_id=str(enrolment.id),
                course_id=str(offer.course_id),
                slug=offer.slug,
                account_id=str(person_id),
                learners=learners,
                at=now,
            )
            await outbox.add(tx, event)
        return Enrolled(enrolment, first=True)
