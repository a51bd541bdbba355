"""A small real HTTP service in `learning`'s place: the demo's courses behind a Unix socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
from aiohttp import web

from banyan.contracts.learning import Course, CourseCard, CoursePage, Lesson, Section
from banyan.demo import catalogue
from banyan.kit import paging


class LearningStandIn:
    """Answers what it is given in `courses`; `requests` are the paths it was asked for."""

    def __init__(self, courses: list[Course]) -> None:
        self.courses = courses
        self.requests: list[str] = []

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/api/v1/courses", self._list)
        app.router.add_get("/api/v1/courses/{slug:[^/]+}", self._one)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        try:
            yield
        finally:
            await runner.cleanup()

    async def _list(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.rel_url))
        query = request.query
        found = [
            course
            for course in self.courses
            if all(query.get(name) in (None, getattr(course, name)) for name in ("language", "level", "category"))
            and query.get("price") in (None, "paid" if course.price else "free")
            and query.get("q", "").lower() in course.title.lower()
        ]
        if query.get("sort") == "popular":
            found.sort(key=lambda course: -course.learners)
        limit = int(query.get("limit", "20"))
        start = 0
        if "after" in query:
            try:
                start = int(str(paging.decode_cursor(query["after"], int)[0]))
            except paging.CursorNotOurs as refusal:
                return _refusal(422, refusal.slug, refusal.detail)
        items = found[start : start + limit]
        more = paging.encode_cursor(start + limit) if start + limit < len(found) else None
        return _json(CoursePage(items=[card_of(course) for course in items], next=more, total=len(found)))

    async def _one(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.rel_url))
        for course in self.courses:
            if course.slug == request.match_info["slug"]:
                return _json(course)
        return _refusal(404, "course-unknown", "There is no course by that name.")


def demo_courses(count: int) -> list[Course]:
    return [_course(catalogue.course(number)) for number in range(1, count + 1)]


def card_of(course: Course) -> CourseCard:
    return CourseCard(**{name: getattr(course, name) for name in CourseCard.__dataclass_fields__})


def _course(demo: catalogue.DemoCourse) -> Course:
    sections = [
        Section(
            section.title,
            [
                Lesson(f"{at}-{index}", lesson.title, lesson.kind, lesson.preview, lesson.duration_seconds)
                for index, lesson in enumerate(section.lessons)
            ],
        )
        for at, section in enumerate(demo.sections)
    ]
    lessons = [lesson for section in sections for lesson in section.lessons]
    return Course(
        id=str(demo.number),
        slug=demo.slug,
        title=demo.title,
        summary=demo.summary,
        description=demo.description,
        outcomes=list(demo.outcomes),
        language=demo.language,
        level=demo.level,
        category=demo.category,
        price=demo.price,
        learners=demo.learners,
        lessons=len(lessons),
        duration_seconds=sum(lesson.duration_seconds for lesson in lessons),
        instructor=catalogue.person(demo.instructor).name,
        published_at=demo.published_on,
        updated_at=demo.published_on + timedelta(days=30),
        sections=sections,
    )


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _refusal(status: int, slug: str, detail: str) -> web.Response:
    body = {"type": f"/_banyan/problems/{slug}", "title": "", "status": status, "detail": detail}
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/problem+json")
