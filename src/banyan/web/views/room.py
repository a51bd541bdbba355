"""The learning room: a lesson, what stands around it, and how far the learner is."""

from dataclasses import dataclass
from urllib.parse import quote

from banyan.contracts.learning import LessonPage, TakenLesson
from banyan.web.views.catalogue import course_link

TEXT_DONE = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A lesson in the curriculum beside; `open_to_reader` is False where somebody must enrol first."""

    lesson: TakenLesson
    address: str
    current: bool
    open_to_reader: bool


@dataclass(frozen=True, slots=True)
class Chapter:
    title: str
    places: list[Place]
    done: int
    current: bool


@dataclass(frozen=True, slots=True)
class Room:
    lesson: LessonPage
    chapters: list[Chapter]
    course: str
    previous: str
    next: str
    number: int
    total: int
    done: int
    paragraphs: list[str]


def lesson_link(slug: str, lesson_id: str) -> str:
    return f"/learn/{quote(slug, safe='')}/{quote(lesson_id, safe='')}"


def room(page: LessonPage) -> Room:
    chapters = []
    for section in page.sections:
        places = [
            Place(
                lesson,
                lesson_link(page.course, lesson.id),
                current=lesson.id == page.id,
                open_to_reader=page.enrolled or lesson.preview,
            )
            for lesson in section.lessons
        ]
        chapters.append(
            Chapter(
                section.title,
                places,
                done=sum(place.lesson.percent == TEXT_DONE for place in places),
                current=any(place.current for place in places),
            )
        )
    lessons = [place for chapter in chapters for place in chapter.places]
    return Room(
        lesson=page,
        chapters=chapters,
        course=course_link(page.course),
        previous=lesson_link(page.course, page.previous.id) if page.previous else "",
        next=lesson_link(page.course, page.next.id) if page.next else "",
        number=next((at for at, place in enumerate(lessons, 1) if place.current), 1),
        total=len(lessons),
        done=sum(chapter.done for chapter in chapters),
        paragraphs=[paragraph.strip() for paragraph in page.text.split("\n\n") if paragraph.strip()],
    )
