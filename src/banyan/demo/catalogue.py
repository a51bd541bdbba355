"""The demo company: its courses, its people, and who takes what.

Everything follows from numbers: course k, person k and the learners of course k are the same however many of the
others are asked for, so that the old site and the new side agree without talking to each other.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Literal

from banyan.demo import clips, readings
from banyan.demo import people as staff
from banyan.demo.dice import dice
from banyan.demo.people import FEWEST_PEOPLE, NAMESPACE, PASSWORD, DemoPerson, account_id, people, person
from banyan.demo.topics import Angle, Language, Level, Topic, programme

__all__ = [
    "FEWEST_PEOPLE",
    "NAMESPACE",
    "PASSWORD",
    "DemoCourse",
    "DemoEnrolment",
    "DemoLesson",
    "DemoPerson",
    "DemoSection",
    "account_id",
    "course",
    "courses",
    "enrolments",
    "people",
    "person",
    "with_enrolments",
]

_PRICES = (11_000, 22_000, 33_000, 44_000, 55_000, 66_000, 77_000, 88_000, 99_000, 121_000, 165_000, 220_000, 330_000)
_PEOPLE_PER_COURSE = 2.5  # beyond the first 800 courses, the audience grows with the catalogue
_FIRST_AUDIENCE = 2000


@dataclass(frozen=True, slots=True)
class DemoLesson:
    """`text` is a text lesson's, `clip` the name of a video lesson's file; it is as long as the lesson says."""

    title: str
    kind: Literal["video", "text"]
    preview: bool
    duration_seconds: int
    text: str = ""
    clip: str = ""


@dataclass(frozen=True, slots=True)
class DemoSection:
    title: str
    lessons: tuple[DemoLesson, ...]


@dataclass(frozen=True, slots=True)
class DemoCourse:
    """A published course; `number` is the old site's integer id, `price` whole won, `instructor` a person's number."""

    number: int
    slug: str
    title: str
    summary: str
    description: str
    outcomes: tuple[str, ...]
    language: Language
    level: Level
    category: str
    price: int
    instructor: int
    published_on: datetime
    sections: tuple[DemoSection, ...]
    learners: int


@dataclass(frozen=True, slots=True)
class DemoEnrolment:
    person: int
    course: int
    enrolled_on: datetime


def courses(count: int = 300, *, people: int = _FIRST_AUDIENCE) -> list[DemoCourse]:
    """The first `count` courses of a company with so many people."""
    return [course(number, people=people) for number in range(1, count + 1)]


def course(number: int, *, people: int = _FIRST_AUDIENCE) -> DemoCourse:
    """The course with this number, from 1."""
    rng = dice("course", number)
    language, place = _place(number)
    plan = programme(language)
    topic_index = place % len(plan.topics)
    round_number = place // len(plan.topics)
    edition = round_number // plan.rounds + 1
    topic = plan.topics[topic_index]
    title, summary, level, angle = _theme(topic, plan.angles, topic_index, round_number % plan.rounds)
    if edition > 1:
        title += f" ({edition}기)" if language == "ko" else f" (edition {edition})"
    return DemoCourse(
        number=number,
        slug=_slug(title),
        title=title,
        summary=summary,
        description="\n\n".join([*topic.about, *([angle.about.format(name=topic.name)] if angle else [])]),
        outcomes=_outcomes(topic, rng),
        language=language,
        level=level,
        category=topic.category,
        price=_price(number, rng),
        instructor=_instructor(language, topic_index),
        published_on=_published(number, rng),
        sections=tuple(_sections(topic, angle, language, rng)),
        learners=_learners(number, people),
    )


def with_enrolments(of: list[DemoCourse], total: int, *, people: int = _FIRST_AUDIENCE) -> list[DemoCourse]:
    """The same courses with about `total` enrolments in all, as far as there are people for them."""
    wanted = total / max(1, sum(course.learners for course in of))
    return [
        replace(course, learners=min(round(course.learners * wanted), len(_audience(course.number, people))))
        for course in of
    ]


def enrolments(of: Iterable[DemoCourse], *, people: int = _FIRST_AUDIENCE) -> Iterator[DemoEnrolment]:
    """Who takes these courses: exactly `learners` people each. `people` is what the courses were asked for with."""
    for taken in of:
        rng = dice("learners", taken.number)
        for number in rng.sample(_audience(taken.number, people), taken.learners):
            earliest = max(taken.published_on, staff.joined_on(number))
            since = int((staff.TODAY - earliest).total_seconds() * rng.random())
            yield DemoEnrolment(number, taken.number, earliest + timedelta(seconds=since))


def _place(number: int) -> tuple[Language, int]:
    """The course's language (three of ten are English) and its place among the courses of that language."""
    tens, ones = divmod(number - 1, 10)
    english = (3, 6, 9)
    before = sum(1 for one in english if one < ones)
    if ones in english:
        return "en", tens * 3 + before
    return "ko", tens * 7 + ones - before


def _theme(topic: Topic, angles: tuple[Angle, ...], shift: int, turn: int) -> tuple[str, str, Level, Angle | None]:
    if turn < len(topic.flagships):
        # Every second topic begins with its other one, so that the first page has more than beginners' courses.
        flagship = topic.flagships[(turn + shift) % len(topic.flagships)]
        return flagship.title, flagship.summary, flagship.level, None
    # Shifted by topic, so that one page of the list does not show the same angle twenty times.
    angle = angles[(turn - len(topic.flagships) + shift) % len(angles)]
    return angle.title.format(name=topic.name), angle.summary.format(name=topic.name), angle.level, angle


def _slug(title: str) -> str:
    words = re.findall(r"\w+", unicodedata.normalize("NFC", title).replace("'", "").lower())
    return "-".join(words)


def _outcomes(topic: Topic, rng: Random) -> tuple[str, ...]:
    kept = sorted(rng.sample(range(len(topic.outcomes)), rng.randint(3, len(topic.outcomes))))
    return tuple(topic.outcomes[index] for index in kept)


def _price(number: int, rng: Random) -> int:
    """One of each pair of courses is free; after the first twenty a few more are."""
    pair = (number - 1) // 2
    free_one = dice("free", pair).randrange(2)
    price = rng.choice(_PRICES)
    if (number - 1) % 2 == free_one or (number > 20 and rng.random() < 0.1):
        return 0
    return price


def _instructor(language: Language, topic_index: int) -> int:
    """One instructor per topic; the named one (person 2) teaches the first Korean topic."""
    if language == "ko":
        return 2 if topic_index == 0 else staff.FIRST_INSTRUCTOR + topic_index % staff.KOREAN_INSTRUCTORS
    return staff.FIRST_INSTRUCTOR + staff.KOREAN_INSTRUCTORS + topic_index % staff.ENGLISH_INSTRUCTORS


def _published(number: int, rng: Random) -> datetime:
    """Some time in the company's life, at a time of day when somebody was at the office in Seoul."""
    days = (staff.TODAY - staff.OPENED).days - 30
    day = staff.OPENED + timedelta(days=int(days * (number * 0.6180339887 % 1) ** 0.7))
    return day + timedelta(hours=rng.randint(0, 9), minutes=rng.randrange(60), seconds=rng.randrange(60))


def _sections(topic: Topic, angle: Angle | None, language: Language, rng: Random) -> Iterator[DemoSection]:
    dropped = rng.randrange(1, len(topic.sections)) if angle is not None and len(topic.sections) > 4 else None
    welcome = "강의 소개와 준비물" if language == "ko" else "What this course is, and what you need"
    for index, (title, lessons) in enumerate(topic.sections):
        if index == 0:
            intro = _video(welcome, rng.randint(90, 260), preview=True)
            yield DemoSection(title, (intro, *_lessons(topic, lessons, language, rng, previews=1)))
        elif index != dropped:
            yield DemoSection(title, tuple(_lessons(topic, lessons, language, rng, previews=0)))
    if angle is not None:
        yield DemoSection(angle.section, tuple(_lessons(topic, angle.lessons, language, rng, previews=0)))


def _lessons(
    topic: Topic, titles: tuple[str, ...], language: Language, rng: Random, *, previews: int
) -> Iterator[DemoLesson]:
    for index, title in enumerate(titles):
        preview = index < previews
        if rng.random() < (0.4 if index == len(titles) - 1 else 0.12):
            seconds = rng.randint(4, 14) * 30
            yield DemoLesson(title, "text", preview, seconds, text=readings.text(topic, title, language))
        else:
            yield _video(title, rng.randint(210, 1380), preview=preview)


def _video(title: str, about_seconds: int, *, preview: bool) -> DemoLesson:
    """One of a few lengths, so that a few clips are enough."""
    seconds = min(clips.LENGTHS, key=lambda length: abs(length - about_seconds))
    return DemoLesson(title, "video", preview, seconds, clip=clips.name(seconds))


def _learners(number: int, people: int) -> int:
    """A few courses everybody takes, and a long tail."""
    rng = dice("popularity", number)
    wanted = rng.randint(3, 60) + int(900 * rng.random() ** 8)
    return min(wanted, len(_audience(number, people)))


def _audience(number: int, people: int) -> range:
    """Whom the course could reach; the first courses only the first 2,000 people, however many came later."""
    if people < FEWEST_PEOPLE:
        raise ValueError(f"The demo company has at least {FEWEST_PEOPLE} people, not {people}.")
    reach = max(_FIRST_AUDIENCE, int(number * _PEOPLE_PER_COURSE))
    return range(staff.FIRST_LEARNER, min(reach, people) + 1)
