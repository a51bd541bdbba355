"""Courses and the rules they obey. A course has versions; it points to its draft and to the one learners see."""

import re
import unicodedata
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NewType

from banyan.kit.errors import Conflict, NotFound, Refused

PersonId = NewType("PersonId", uuid.UUID)
CourseId = NewType("CourseId", uuid.UUID)
VersionId = NewType("VersionId", uuid.UUID)
LessonId = NewType("LessonId", uuid.UUID)

LONGEST_SLUG = 100
LONGEST_TITLE = 200
LONGEST_SUMMARY = 500
LONGEST_DESCRIPTION = 20_000
MOST_OUTCOMES = 20
MOST_LESSONS = 1000
HIGHEST_PRICE = 100_000_000
LONGEST_LESSON_SECONDS = 86_400
LONGEST_BODY = 50_000

_SLUG = re.compile(r"\w+(?:-\w+)*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_MEDIA = re.compile(r"[a-z0-9][a-z0-9-]{0,99}\.(?:webm|mp4)")
_CATEGORY = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class CourseUnknown(NotFound):
    """There is no course by that name."""


class PersonUnknown(NotFound):
    """There is no person by that id."""


class SlugNotUsable(Refused):
    """A course's address is 1 to 100 lower-case letters, digits and underscores of any script, with single hyphens
    between words."""


class SlugTaken(Conflict):
    """Another course has that address."""


class TextNotUsable(Refused):
    """A text is empty, too long or has control characters in it; the detail says which."""


class NumberNotUsable(Refused):
    """A number is out of its range; the detail says which."""


class TooManyLessons(Refused):
    """A course has at most 1,000 lessons and as many sections."""


class LessonTwice(Refused):
    """A lesson may be in a course only once."""


class LessonOfAnotherCourse(Refused):
    """A lesson that this draft refers to is not one of this course."""


class NoLessons(Refused):
    """A course needs at least one lesson to be published."""


class DraftChanged(Conflict):
    """Somebody saved this draft after you had opened it. Take their text first, then save yours."""


class VersionUnknown(NotFound):
    """The course has no such version."""


class AlreadyPublished(Conflict):
    """That version is the published one already."""


class Language(StrEnum):
    KOREAN = "ko"
    ENGLISH = "en"


class Level(StrEnum):
    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    ADVANCED = "advanced"


class LessonKind(StrEnum):
    VIDEO = "video"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A lesson as a version shows it; its id is the same in every version of the course. `body` is plain text, with
    empty lines between paragraphs; `media` the name of a file."""

    id: LessonId
    title: str
    kind: LessonKind
    preview: bool = False
    duration_seconds: int = 0
    body: str = ""
    media: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    title: str
    lessons: tuple[Lesson, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that an instructor writes in a course; `checked` before it goes anywhere."""

    title: str
    summary: str
    description: str
    outcomes: tuple[str, ...]
    language: Language
    level: Level
    category: str
    price: int
    sections: tuple[Section, ...]

    @property
    def lessons(self) -> Iterator[Lesson]:
        return (lesson for section in self.sections for lesson in section.lessons)

    @property
    def duration_seconds(self) -> int:
        return sum(lesson.duration_seconds for lesson in self.lessons)

    def checked(self) -> "Content":
        """The same in normal form. Raises the refusal that names what cannot stay so."""
        ids = [lesson.id for lesson in self.lessons]
        if len(ids) > MOST_LESSONS or len(self.sections) > MOST_LESSONS:
            raise TooManyLessons
        if len(set(ids)) < len(ids):
            raise LessonTwice
        if len(self.outcomes) > MOST_OUTCOMES:
            raise NumberNotUsable(f"A course has at most {MOST_OUTCOMES} outcomes.")
        if not _CATEGORY.fullmatch(self.category) or len(self.category) > 50:
            raise TextNotUsable("A category is at most 50 letters a-z, digits and single hyphens.")
        return replace(
            self,
            title=_line("title", self.title, LONGEST_TITLE),
            summary=_line("summary", self.summary, LONGEST_SUMMARY, may_be_empty=True),
            description=_text("description", self.description, LONGEST_DESCRIPTION),
            outcomes=tuple(_line("outcome", outcome, LONGEST_TITLE) for outcome in self.outcomes),
            price=_number("price", self.price, HIGHEST_PRICE),
            sections=tuple(_checked_section(section) for section in self.sections),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """`revision` counts the times this version was saved while it was a draft."""

    id: VersionId
    number: int
    revision: int
    lessons: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is true of a course in all its versions, and its two pointers."""

    id: CourseId
    slug: str
    instructor_id: PersonId
    draft: Version
    published_version_id: VersionId | None = None
    published_at: datetime | None = None
    updated_at: datetime | None = None

    def next_draft(self, *, revision: int, new_id: VersionId, lessons: int) -> Version:
        """The version that a save of the draft opened at `revision` writes: published ones never change."""
        if revision != self.draft.revision:
            raise DraftChanged
        if self.draft.id == self.published_version_id:
            return Version(id=new_id, number=self.draft.number + 1, revision=revision + 1, lessons=lessons)
        return replace(self.draft, revision=revision + 1, lessons=lessons)

    def publish(self, version: Version, *, now: datetime) -> "Course":
        """The course with its published pointer on this version, a newer or an older one."""
        if version.lessons == 0:
            raise NoLessons
        if version.id == self.published_version_id:
            raise AlreadyPublished
        return replace(self, published_version_id=version.id, published_at=self.published_at or now, updated_at=now)


def usable_slug(text: str) -> str:
    """The address of a course in its one normal form. Raises SlugNotUsable."""
    slug = unicodedata.normalize("NFC", text)
    if len(slug) > LONGEST_SLUG or not _SLUG.fullmatch(slug) or slug != slug.lower():
        raise SlugNotUsable
    return slug


def _checked_section(section: Section) -> Section:
    return replace(
        section,
        title=_line("section title", section.title, LONGEST_TITLE),
        lessons=tuple(
            replace(
                lesson,
                title=_line("lesson title", lesson.title, LONGEST_TITLE),
                duration_seconds=_number("duration", lesson.duration_seconds, LONGEST_LESSON_SECONDS),
                body=_text("text of the lesson", lesson.body, LONGEST_BODY),
                media=_media(lesson.media),
            )
            for lesson in section.lessons
        ),
    )


def _media(name: str) -> str:
    if name and not _MEDIA.fullmatch(name):
        raise TextNotUsable("A file's name is at most 100 letters a-z, digits and hyphens, then .webm or .mp4.")
    return name


def _line(name: str, text: str, longest: int, *, may_be_empty: bool = False) -> str:
    line = _text(name, " ".join(text.split()), longest)
    if not line and not may_be_empty:
        raise TextNotUsable(f"The {name} is empty.")
    return line


def _text(name: str, text: str, longest: int) -> str:
    normal = unicodedata.normalize("NFC", text)
    if len(normal) > longest:
        raise TextNotUsable(f"The {name} is longer than {longest} characters.")
    if _CONTROL.search(normal):
        raise TextNotUsable(f"The {name} has control characters in it.")
    return normal.strip()


def _number(name: str, value: int, highest: int) -> int:
    if not 0 <= value <= highest:
        raise NumberNotUsable(f"The {name} is not between 0 and {highest}.")
    return value
