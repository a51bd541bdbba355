"""Who may take a course, and look at its lessons."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from banyan.kit.errors import Forbidden, NotFound, Refusal
from banyan.learning.domain.courses import CourseId, PersonId

EnrolmentId = NewType("EnrolmentId", uuid.UUID)


class LessonUnknown(NotFound):
    """There is no such lesson in a course that is published."""


class NotEnrolled(Forbidden):
    """This lesson is for those who take the course. Enrol first."""


class PaymentRequired(Refusal):
    """This course has a price, and it cannot be bought here yet."""

    status = 402


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A published course as whoever wants to enrol meets it."""

    course_id: CourseId
    slug: str
    price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """Once per person and course. Completed once is completed, though lessons be added."""

    id: EnrolmentId
    course_id: CourseId
    person_id: PersonId
    enrolled_at: datetime
    completed_at: datetime | None = None


def enrol(offer: Offer, person_id: PersonId, *, new_id: EnrolmentId, now: datetime) -> Enrolment:
    """Raises PaymentRequired."""
    if offer.price > 0:
        raise PaymentRequired
    return Enrolment(id=new_id, course_id=offer.course_id, person_id=person_id, enrolled_at=now)
