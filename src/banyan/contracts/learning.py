"""What `learning` answers. Times are RFC 3339 in UTC; prices whole won, 0 = free."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Language = Literal["ko", "en"]
Level = Literal["beginner", "intermediate", "advanced"]
LessonKind = Literal["video", "text"]


@dataclass(frozen=True, slots=True)
class CourseCard:
    id: str
    slug: str
    title: str
    summary: str
    language: Language
    level: Level
    category: str
    price: int
    learners: int
    lessons: int
    duration_seconds: int
    instructor: str
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Lesson:
    id: str
    title: str
    kind: LessonKind
    preview: bool
    duration_seconds: int


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    lessons: list[Lesson]


@dataclass(frozen=True, slots=True)
class Course:
    id: str
    slug: str
    title: str
    summary: str
    description: str
    outcomes: list[str]
    language: Language
    level: Level
    category: str
    price: int
    learners: int
    lessons: int
    duration_seconds: int
    instructor: str
    published_at: datetime
    updated_at: datetime
    sections: list[Section]


@dataclass(frozen=True, slots=True)
class CoursePage:
    items: list[CourseCard]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True)
class NewEnrolment:
    """`course` is the course's slug."""

    course: str


@dataclass(frozen=True, slots=True)
class LessonLink:
    id: str
    title: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """One of the caller's courses; `course` is its slug, `resume` the lesson to go on with."""

    id: str
    course: str
    title: str
    percent: int
    enrolled_at: datetime
    completed_at: datetime | None
    language: Language
    category: str
    instructor: str
    lessons: int
    lessons_completed: int
    resume: LessonLink


@dataclass(frozen=True, slots=True)
class EnrolmentPage:
    items: list[Enrolment]
    next: str | None


@dataclass(frozen=True, slots=True)
class TakenLesson:
    id: str
    title: str
    kind: LessonKind
    preview: bool
    duration_seconds: int
    percent: int


@dataclass(frozen=True, slots=True)
class TakenSection:
    title: str
    lessons: list[TakenLesson]


@dataclass(frozen=True, slots=True)
class CourseProgress:
    """The caller's way through a course. `completed_at` stays when lessons are added afterwards; `percent` does not."""

    course: str
    title: str
    percent: int
    enrolled_at: datetime
    completed_at: datetime | None
    resume: LessonLink
    sections: list[TakenSection]


@dataclass(frozen=True, slots=True)
class Media:
    """`url` plays for this caller only, and only until `expires_at`; then ask for the lesson again."""

    url: str
    type: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class LessonProgress:
    percent: int
    completed: bool
    position_seconds: float
    watched: list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class LessonPage:
    """A lesson with what stands around it. `progress` and `course_percent` are None for who is not enrolled.

    `now` is the service's time, for a player whose clock is wrong to count its heartbeats' `sent_at` from.
    """

    id: str
    title: str
    kind: LessonKind
    preview: bool
    duration_seconds: int
    course: str
    course_title: str
    language: Language
    enrolled: bool
    text: str
    media: Media | None
    progress: LessonProgress | None
    course_percent: int | None
    previous: LessonLink | None
    next: LessonLink | None
    sections: list[TakenSection]
    now: datetime


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a player tells every few seconds. `watched` are from-to pairs in seconds since the heartbeat before, or
    all of them again. `sent_at` is when the position was so; without it a heartbeat that was delayed looks new.
    """

    position_seconds: float
    watched: list[tuple[float, float]]
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """After a heartbeat: the lesson, and the course it is in."""

    lesson: LessonProgress
    course_percent: int
    course_completed: bool
