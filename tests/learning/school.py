"""An instructor who writes courses, in short words."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.learning.domain.courses import (
    Content,
    Course,
    Language,
    Lesson,
    LessonId,
    LessonKind,
    Level,
    PersonId,
    Section,
)
from banyan.learning.operations.courses import Courses

START = datetime(2026, 1, 1, 9, tzinfo=UTC)


def lesson(title: str) -> Lesson:
    return Lesson(id=LessonId(ids.uuid7()), title=title, kind=LessonKind.VIDEO, duration_seconds=60)


def section(*lessons: Lesson) -> Section:
    return Section(title="시작", lessons=lessons)


def content(title: str = "스프링 부트 입문", lessons: Sequence[str] = ("첫 수업",), **other: Any) -> Content:
    plain = Content(
        title=title,
        summary="작은 서비스를 만들며 배운다",
        description="설명",
        outcomes=("서비스를 배포한다",),
        language=Language.KOREAN,
        level=Level.BEGINNER,
        category="programming",
        price=0,
        sections=(section(*map(lesson, lessons)),),
    )
    return dataclasses.replace(plain, **other)


class School:
    def __init__(self, database: Database, instructor: PersonId) -> None:
        self.database = database
        self.instructor = instructor
        self.courses = Courses(database)

    async def draft(self, slug: str, written: Content | None = None) -> Course:
        return await self.courses.begin(
            slug=slug, instructor_id=self.instructor, content=written or content(), now=START
        )

    async def publish(
        self, slug: str, written: Content | None = None, *, now: datetime = START, learners: int = 0
    ) -> Course:
        course = await self.draft(slug, written)
        published = await self.courses.publish(
            course_id=course.id, version_id=course.draft.id, by=self.instructor, now=now
        )
        if learners:
            await self.database.fetch("UPDATE course SET learners = $2 WHERE id = $1", course.id, learners)
        return published
