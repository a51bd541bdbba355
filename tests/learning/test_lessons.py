"""Lessons and heartbeats over HTTP: who may see what, and percents that are the same on every screen."""

import asyncio
import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from banyan.learning.domain.courses import Content, Lesson, LessonId, LessonKind

from .classroom import Classroom, Person
from .school import START, School, content, section
from .test_enrolments import told


def video(title: str, seconds: int = 100, *, preview: bool = False) -> Lesson:
    lesson_id = LessonId(uuid.uuid4())
    return Lesson(
        id=lesson_id, title=title, kind=LessonKind.VIDEO, duration_seconds=seconds, media="clip.webm", preview=preview
    )


def reading(title: str) -> Lesson:
    lesson_id = LessonId(uuid.uuid4())
    return Lesson(id=lesson_id, title=title, kind=LessonKind.TEXT, duration_seconds=60, body="한 줄\n\n두 줄")


INTRO, FIRST, SECOND, LAST = video("소개", preview=True), video("하나"), reading("읽기"), video("끝")
COURSE = content(sections=(section(INTRO, FIRST), section(SECOND, LAST)))


@pytest.fixture
async def course(school: School) -> str:
    await school.publish("spring-boot", COURSE)
    return "spring-boot"


async def republish(school: School, written: Content) -> None:
    row = await school.database.fetchrow(
        "SELECT c.id, v.revision FROM course c JOIN course_version v ON v.id = c.draft_version_id"
    )
    assert row is not None
    draft = await school.courses.write_draft(course_id=row["id"], revision=row["revision"], content=written, now=START)
    await school.courses.publish(course_id=row["id"], version_id=draft.id, by=school.instructor, now=START)


async def shown_percents(classroom: Classroom, who: Person) -> set[int]:
    """Every screen's percent of the course."""
    mine = (await classroom.get("/api/v1/enrolments", who)).json()["items"][0]["percent"]
    way = (await classroom.get("/api/v1/courses/spring-boot/progress", who)).json()["percent"]
    lesson = (await classroom.get(f"/api/v1/lessons/{INTRO.id}", who)).json()["course_percent"]
    beat = (await classroom.hear(FIRST.id, who)).json()["course_percent"]
    return {mine, way, lesson, beat}


async def test_a_lesson_comes_with_its_neighbours_and_the_curriculum(course: str, classroom: Classroom) -> None:
    learner = Person()
    await classroom.enrol(course, learner)
    await classroom.hear(FIRST.id, learner, position_seconds=30, watched=[[0, 30]])

    page = (await classroom.get(f"/api/v1/lessons/{SECOND.id}", learner)).json()

    assert (page["title"], page["kind"], page["text"], page["media"]) == ("읽기", "text", "한 줄\n\n두 줄", None)
    assert (page["previous"]["title"], page["next"]["title"]) == ("하나", "끝")
    assert [[(le["title"], le["percent"]) for le in s["lessons"]] for s in page["sections"]] == [
        [("소개", 0), ("하나", 30)],
        [("읽기", 0), ("끝", 0)],
    ]
    assert (page["enrolled"], page["course_percent"]) == (True, 7)
    assert page["progress"] == {"percent": 0, "completed": False, "position_seconds": 0.0, "watched": []}


async def test_the_first_and_the_last_lesson_have_one_neighbour(course: str, classroom: Classroom) -> None:
    learner = Person()
    await classroom.enrol(course, learner)

    first = (await classroom.get(f"/api/v1/lessons/{INTRO.id}", learner)).json()
    last = (await classroom.get(f"/api/v1/lessons/{LAST.id}", learner)).json()

    assert (first["previous"], first["next"]["title"]) == (None, "하나")
    assert (last["previous"]["title"], last["next"]) == ("읽기", None)


async def test_a_preview_is_for_everybody_and_other_lessons_for_who_enrolled(course: str, classroom: Classroom) -> None:
    visitor, learner = Person(), Person()
    await classroom.enrol(course, learner)

    shown = await classroom.get(f"/api/v1/lessons/{INTRO.id}")

    assert (shown.status_code, shown.json()["enrolled"], shown.json()["progress"]) == (200, False, None)
    assert shown.json()["media"]["url"].startswith(f"/_banyan/media/{INTRO.id}/clip.webm?")
    assert (await classroom.get(f"/api/v1/lessons/{FIRST.id}")).status_code == 401
    refused = await classroom.get(f"/api/v1/lessons/{FIRST.id}", visitor)
    assert (refused.status_code, refused.json()["type"]) == (403, "/_banyan/problems/not-enrolled")
    assert (await classroom.get(f"/api/v1/lessons/{FIRST.id}", learner)).status_code == 200
    assert (await classroom.hear(FIRST.id, visitor)).status_code == 403
    assert (await classroom.get(f"/api/v1/courses/{course}/progress", visitor)).status_code == 403


@pytest.mark.parametrize("lesson", [uuid.UUID(int=7), "x", "%00", "'; DROP TABLE lesson; --", "%FF"])
async def test_no_such_lesson_is_not_found(course: str, classroom: Classroom, lesson: object) -> None:
    assert (await classroom.get(f"/api/v1/lessons/{lesson}", Person())).status_code == 404
    assert (await classroom.hear(lesson, Person())).status_code == 404


async def test_a_course_is_completed_lesson_by_lesson(school: School, course: str, classroom: Classroom) -> None:
    learner = Person()
    await classroom.enrol(course, learner)

    heard = [
        (await classroom.hear(INTRO.id, learner, position_seconds=100, watched=[[0, 100]])).json(),
        (await classroom.hear(FIRST.id, learner, position_seconds=95, watched=[[0, 50], [50.25, 95]])).json(),
        (await classroom.hear(SECOND.id, learner)).json(),
        (await classroom.hear(LAST.id, learner, position_seconds=89, watched=[[0, 89]])).json(),
        (await classroom.hear(LAST.id, learner, position_seconds=91, watched=[[89, 91]])).json(),
        (await classroom.hear(LAST.id, learner, position_seconds=91, watched=[[89, 91]])).json(),
    ]

    assert [answer["course_percent"] for answer in heard] == [25, 50, 75, 97, 100, 100]
    assert [answer["course_completed"] for answer in heard] == [False] * 4 + [True] * 2
    assert [answer["lesson"]["completed"] for answer in heard] == [True, True, True, False, True, True]
    kinds = ("lesson-started", "lesson-completed", "course-completed")
    assert [len(await told(school.database, f"banyan.learning.{kind}.v1")) for kind in kinds] == [4, 4, 1]
    assert (await classroom.get("/api/v1/enrolments", learner)).json()["items"][0]["completed_at"] is not None


async def test_every_screen_shows_the_same_percent(course: str, classroom: Classroom) -> None:
    learner = Person()
    await classroom.enrol(course, learner)
    await classroom.hear(FIRST.id, learner, watched=[[10, 43]])

    assert await shown_percents(classroom, learner) == {8}


async def test_lessons_added_afterwards_lower_the_course_but_no_lesson_and_no_completion(
    school: School, course: str, classroom: Classroom
) -> None:
    learner = Person()
    await classroom.enrol(course, learner)
    for lesson in (INTRO, FIRST, SECOND, LAST):
        await classroom.hear(lesson.id, learner, watched=[[0, 100]])

    await republish(school, content(sections=(section(INTRO, FIRST), section(SECOND, LAST, video("더", 50)))))

    assert await shown_percents(classroom, learner) == {80}
    mine = (await classroom.get("/api/v1/enrolments", learner)).json()["items"][0]
    assert (mine["lessons_completed"], mine["lessons"], mine["resume"]["title"]) == (4, 5, "더")
    assert mine["completed_at"] is not None


async def test_resume_is_the_lesson_last_heard_of_until_it_is_completed(course: str, classroom: Classroom) -> None:
    learner = Person()
    await classroom.enrol(course, learner)

    async def resume() -> str:
        return str((await classroom.get("/api/v1/enrolments", learner)).json()["items"][0]["resume"]["title"])

    assert await resume() == "소개"
    await classroom.hear(LAST.id, learner, position_seconds=3, watched=[[0, 3]])
    assert await resume() == "끝"
    await classroom.hear(FIRST.id, learner, position_seconds=3, watched=[[0, 3]])
    assert await resume() == "하나"
    await classroom.hear(FIRST.id, learner, position_seconds=100, watched=[[0, 100]])
    assert await resume() == "읽기"
    await classroom.hear(SECOND.id, learner)
    await classroom.hear(LAST.id, learner, watched=[[0, 100]])
    assert await resume() == "소개"


async def test_a_late_heartbeat_adds_what_was_watched_and_leaves_the_position(
    course: str, classroom: Classroom
) -> None:
    learner, now = Person(), datetime.now(UTC)
    await classroom.enrol(course, learner)
    await classroom.hear(FIRST.id, learner, position_seconds=60, watched=[[50, 60]], sent_at=now.isoformat())

    late = (now - timedelta(seconds=20)).isoformat()
    answer = await classroom.hear(FIRST.id, learner, position_seconds=40, watched=[[30, 40]], sent_at=late)
    back = await classroom.hear(FIRST.id, learner, position_seconds=10, watched=[])

    assert (answer.json()["lesson"]["position_seconds"], answer.json()["lesson"]["percent"]) == (60, 20)
    assert back.json()["lesson"]["position_seconds"] == 10  # rewound just now


async def test_a_clock_that_is_ahead_cannot_keep_the_position(course: str, classroom: Classroom) -> None:
    learner = Person()
    await classroom.enrol(course, learner)
    await classroom.hear(FIRST.id, learner, position_seconds=60, sent_at="2999-01-01T00:00:00Z")

    assert (await classroom.hear(FIRST.id, learner, position_seconds=10)).json()["lesson"]["position_seconds"] == 10


async def test_two_screens_at_once_lose_nothing(course: str, classroom: Classroom) -> None:
    learner = Person()
    await classroom.enrol(course, learner)

    answers = await asyncio.gather(
        *(classroom.hear(FIRST.id, learner, watched=[[second, second + 1]]) for second in range(0, 80, 2))
    )

    assert {answer.status_code for answer in answers} == {200}
    page = (await classroom.get(f"/api/v1/lessons/{FIRST.id}", learner)).json()
    assert (page["progress"]["percent"], len(page["progress"]["watched"])) == (40, 40)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"position_seconds": -1, "watched": []}',
        '{"position_seconds": 86401, "watched": []}',
        '{"position_seconds": NaN, "watched": []}',
        '{"position_seconds": 1e999, "watched": []}',
        '{"position_seconds": 0, "watched": [[5, 1]]}',
        '{"position_seconds": 0, "watched": [[0]]}',
        '{"position_seconds": 0, "watched": [[0, 1, 2]]}',
        '{"position_seconds": 0, "watched": [[-1, 1]]}',
        '{"position_seconds": 0, "watched": [[0, Infinity]]}',
        '{"position_seconds": 0, "watched": "<script>"}',
        '{"position_seconds": "\'; DROP TABLE lesson_progress; --", "watched": []}',
        json.dumps({"position_seconds": 0, "watched": [[0, 1]] * 101}),
        '{"position_seconds": 0, "watched": [], "sent_at": "2026-01-01T00:00:00"}',
        '{"position_seconds": 0, "watched": [], "sent_at": "yesterday"}',
    ],
)
async def test_a_heartbeat_that_cannot_be_is_refused(course: str, classroom: Classroom, body: str) -> None:
    learner = Person()
    await classroom.enrol(course, learner)

    answer = await classroom.http.put(
        f"/api/v1/lessons/{FIRST.id}/progress",
        content=body,
        headers={**learner.headers, "content-type": "application/json"},
    )

    assert answer.status_code == 422
    assert answer.json()["type"].startswith("/_banyan/problems/")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1970-01-01T00:00:00Z"])
async def test_a_time_at_the_end_of_all_times_does_no_harm(course: str, classroom: Classroom, at: str) -> None:
    learner = Person()
    await classroom.enrol(course, learner)

    assert (await classroom.hear(FIRST.id, learner, position_seconds=5, sent_at=at)).status_code == 200
