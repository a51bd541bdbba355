"""Heartbeats and new versions of a course in any order: what learners see of it stays true."""

import uuid
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from banyan.learning.domain.courses import LessonId, PersonId
from banyan.learning.domain.enrolments import LessonUnknown
from banyan.learning.domain.progress import heartbeat
from banyan.learning.operations.enrolments import Enrolments
from banyan.learning.operations.progress import Progress
from banyan.learning.queries.taking import Taking

from .school import START, School, content, section
from .test_lessons import video

heartbeats = st.tuples(
    st.integers(0, 3),
    st.lists(st.integers(0, 40), min_size=2, max_size=2).map(sorted),
    st.integers(0, 5),
)
new_versions = st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=4, unique=True), st.integers(1, 60))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(heartbeats | new_versions, min_size=4, max_size=16))
async def test_progress_stays_true_under_heartbeats_and_new_versions(
    school: School, steps: list[tuple[object, ...]]
) -> None:
    lessons = [video(f"수업 {number}", 40) for number in range(4)]
    slug, person_id = f"course-{uuid.uuid4().hex}", PersonId(uuid.uuid4())
    course = await school.publish(slug, content(sections=(section(*lessons),)))
    await Enrolments(school.database).enrol(slug=slug, person_id=person_id, now=START)
    progress, taking = Progress(school.database), Taking(school.database)
    revision, reached = 1, dict.fromkeys([str(lesson.id) for lesson in lessons], 0)
    completed = False

    for number, step in enumerate(steps):
        before = (await taking.enrolment(person_id, slug)).percent
        match step:
            case (int() as index, [start, end], age):
                beat = heartbeat(
                    position_seconds=end,
                    watched=[(start, end)],
                    sent_at=START + timedelta(seconds=number - age),
                    now=START + timedelta(seconds=number),
                )
                lesson_id = LessonId(lessons[index].id)
                try:
                    standing = await progress.hear(person_id=person_id, lesson_id=lesson_id, beat=beat, now=START)
                except LessonUnknown:  # a version without it is published
                    continue
                assert standing.course_percent >= before
                assert standing.lesson.percent >= reached[str(lesson_id)]
                assert standing.course_percent == (await taking.enrolment(person_id, slug)).percent
            case (list() as kept, seconds):
                changed = [replace(lessons[index], duration_seconds=seconds) for index in kept]
                draft = await school.courses.write_draft(
                    course_id=course.id,
                    revision=revision,
                    content=content(sections=(section(*changed),)),
                    now=START,
                )
                revision = draft.revision
                await school.courses.publish(course_id=course.id, version_id=draft.id, by=school.instructor, now=START)

        seen = await taking.progress(person_id, slug)
        shown = {lesson.id: lesson.percent for part in seen.sections for lesson in part.lessons}
        assert all(reached[lesson_id] <= percent <= 100 for lesson_id, percent in shown.items())
        assert seen.percent == sum(shown.values()) // len(shown)
        assert seen.completed_at is not None or not completed
        reached |= shown
        completed = seen.completed_at is not None
