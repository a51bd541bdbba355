"""What has happened, as services tell each other: frozen facts, named in the past tense, versioned in their type.

On the wire each is a CloudEvents 1.0 object whose `type` is TYPE and whose `data` are the fields. `key()` is the id of
the aggregate: events of one key reach a consumer in the order in which they happened. Personal data stands in `pii`
and only iam's events have any; all others carry ids.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalData:
    name: str
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRegistered:
    TYPE: ClassVar[str] = "banyan.iam.account-registered.v1"
    account_id: str
    at: datetime
    pii: PersonalData

    def key(self) -> str:
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChanged:
    TYPE: ClassVar[str] = "banyan.iam.profile-changed.v1"
    account_id: str
    at: datetime
    pii: PersonalData

    def key(self) -> str:
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountErased:
    TYPE: ClassVar[str] = "banyan.iam.account-erased.v1"
    account_id: str
    at: datetime

    def key(self) -> str:
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevoked:
    """A session is over before its time: signed out, banned, role or password changed."""

    TYPE: ClassVar[str] = "banyan.iam.session-revoked.v1"
    account_id: str
    session_id: str
    at: datetime

    def key(self) -> str:
        return self.account_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CoursePublished:
    TYPE: ClassVar[str] = "banyan.learning.course-published.v1"
    course_id: str
    slug: str
    version: int
    at: datetime

    def key(self) -> str:
        return self.course_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseViewed:
    """`account_id` is None for an anonymous visitor."""

    TYPE: ClassVar[str] = "banyan.learning.course-viewed.v1"
    course_id: str
    account_id: str | None
    at: datetime

    def key(self) -> str:
        return self.course_id


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentEnrolled:
    """`learners` is the course's number of learners after this one."""

    TYPE: ClassVar[str] = "banyan.learning.student-enrolled.v1"
    enrolment_id: str
    course_id: str
    slug: str
    account_id: str
    learners: int
    at: datetime

    def key(self) -> str:
        return self.course_id


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonStarted:
    TYPE: ClassVar[str] = "banyan.learning.lesson-started.v1"
    enrolment_id: str
    course_id: str
    lesson_id: str
    account_id: str
    at: datetime

    def key(self) -> str:
        return self.enrolment_id


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonCompleted:
    TYPE: ClassVar[str] = "banyan.learning.lesson-completed.v1"
    enrolment_id: str
    course_id: str
    lesson_id: str
    account_id: str
    at: datetime

    def key(self) -> str:
        return self.enrolment_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseCompleted:
    TYPE: ClassVar[str] = "banyan.learning.course-completed.v1"
    enrolment_id: str
    course_id: str
    account_id: str
    at: datetime

    def key(self) -> str:
        return self.enrolment_id


Event: TypeAlias = (
    AccountRegistered
    | ProfileChanged
    | AccountErased
    | SessionRevoked
    | CoursePublished
    | CourseViewed
    | StudentEnrolled
    | LessonStarted
    | LessonCompleted
    | CourseCompleted
)
