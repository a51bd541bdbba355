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
