"""A small real HTTP service in `learning`'s place: the demo's courses behind a Unix socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from aiohttp import web

from banyan.contracts.learning import (
    Course,
    CourseCard,
    CoursePage,
    CourseProgress,
    Enrolment,
    EnrolmentPage,
    Lesson,
    LessonLink,
    LessonPage,
    LessonProgress,
    Section,
    Standing,
    TakenLesson,
    TakenSection,
)
from banyan.demo import catalogue
from banyan.kit import paging

from .iam_standin import IamStandIn


class LearningStandIn:
    """Answers what it is given in `courses`; `requests` are the paths it was asked for.

    One learner: `enrolled` are the slugs of her courses, `percents` how far she is in which lesson.
    """

    def __init__(self, courses: list[Course], iam: IamStandIn | None = None) -> None:
        self.courses = courses
        self.iam = iam
        self.requests: list[str] = []
        self.enrolled: list[str] = []
        self.percents: dict[str, int] = {}
        self.beats: list[dict[str, object]] = []

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/api/v1/courses", self._list)
        app.router.add_get("/api/v1/courses/{slug:[^/]+}", self._one)
        app.router.add_get("/api/v1/courses/{slug:[^/]+}/progress", self._progress)
        app.router.add_post("/api/v1/enrolments", self._enrol)
        app.router.add_get("/api/v1/enrolments", self._enrolments)
        app.router.add_get("/api/v1/lessons/{id}", self._lesson)
        app.router.add_put("/api/v1/lessons/{id}/progress", self._hear)
        app.router.add_put("/_banyan/api/v1/lessons/{id}/progress", self._hear)
        if self.iam is not None:
            self.iam.routes(app)
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

    async def _enrol(self, request: web.Request) -> web.Response:
        self.requests.append(f"POST {request.rel_url}")
        course = self._find((await request.json())["course"])
        if "authorization" not in request.headers:
            return _refusal(401, "signed-out", "Nobody is signed in here.")
        if course is None:
            return _refusal(404, "course-unknown", "There is no course by that name.")
        if course.price:
            return _refusal(402, "payment-required", "This course has a price.")
        if course.slug not in self.enrolled:
            self.enrolled.append(course.slug)
        return _json(self._enrolment(course))

    async def _enrolments(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.rel_url))
        courses = [course for slug in self.enrolled if (course := self._find(slug)) is not None]
        return _json(EnrolmentPage(items=[self._enrolment(course) for course in courses], next=None))

    async def _progress(self, request: web.Request) -> web.Response:
        course = self._find(request.match_info["slug"])
        if course is None or course.slug not in self.enrolled:
            return _refusal(403, "not-enrolled", "Enrol first.")
        taken = self._enrolment(course)
        return _json(
            CourseProgress(
                course=course.slug,
                title=course.title,
                percent=taken.percent,
                enrolled_at=taken.enrolled_at,
                completed_at=None,
                resume=taken.resume,
                sections=self._sections(course),
            )
        )

    async def _lesson(self, request: web.Request) -> web.Response:
        self.requests.append(str(request.rel_url))
        for course in self.courses:
            lessons = [lesson for section in course.sections for lesson in section.lessons]
            at = next((at for at, lesson in enumerate(lessons) if lesson.id == request.match_info["id"]), None)
            if at is None:
                continue
            enrolled = course.slug in self.enrolled and "authorization" in request.headers
            if not (enrolled or lessons[at].preview):
                signed_out = "authorization" not in request.headers
                return _refusal(401, "signed-out", "x") if signed_out else _refusal(403, "not-enrolled", "x")
            return _json(self._page(course, lessons, at, enrolled=enrolled))
        return _refusal(404, "lesson-unknown", "There is no such lesson.")

    async def _hear(self, request: web.Request) -> web.Response:
        told = await request.json()
        self.beats.append(told)
        lesson_id = request.match_info["id"]
        watched = sum(end - start for start, end in told["watched"])
        self.percents[lesson_id] = max(self.percents.get(lesson_id, 0), min(100, int(10 * watched)))
        if not watched:
            self.percents[lesson_id] = 100
        percent = self.percents[lesson_id]
        lesson = LessonProgress(percent, percent == 100, told["position_seconds"], told["watched"])
        return _json(Standing(lesson=lesson, course_percent=percent, course_completed=False))

    def _page(self, course: Course, lessons: list[Lesson], at: int, *, enrolled: bool) -> LessonPage:
        lesson = lessons[at]
        percent = self.percents.get(lesson.id, 0)
        around = [LessonLink(one.id, one.title) for one in lessons]
        return LessonPage(
            id=lesson.id,
            title=lesson.title,
            kind=lesson.kind,
            preview=lesson.preview,
            duration_seconds=lesson.duration_seconds,
            course=course.slug,
            course_title=course.title,
            language=course.language,
            enrolled=enrolled,
            text=course.description if lesson.kind == "text" else "",
            media=None,
            progress=LessonProgress(percent, percent == 100, 0, []) if enrolled else None,
            course_percent=self._enrolment(course).percent if enrolled else None,
            previous=around[at - 1] if at else None,
            next=around[at + 1] if at + 1 < len(around) else None,
            sections=self._sections(course),
            now=datetime.now(UTC),
        )

    def _sections(self, course: Course) -> list[TakenSection]:
        return [
            TakenSection(
                section.title,
                [
                    TakenLesson(
                        lesson.id,
                        lesson.title,
                        lesson.kind,
                        lesson.preview,
                        lesson.duration_seconds,
                        self.percents.get(lesson.id, 0),
                    )
                    for lesson in section.lessons
                ],
            )
            for section in course.sections
        ]

    def _enrolment(self, course: Course) -> Enrolment:
        lessons = [lesson for section in course.sections for lesson in section.lessons]
        percents = [self.percents.get(lesson.id, 0) for lesson in lessons]
        left = [lesson for lesson, percent in zip(lessons, percents, strict=True) if percent < 100] or lessons
        done = all(percent == 100 for percent in percents)
        return Enrolment(
            id=f"enrolment-{course.id}",
            course=course.slug,
            title=course.title,
            percent=sum(percents) // len(percents) if percents else 0,
            enrolled_at=datetime(2026, 11, 20, tzinfo=UTC),
            completed_at=datetime(2026, 11, 23, tzinfo=UTC) if done else None,
            language=course.language,
            category=course.category,
            instructor=course.instructor,
            lessons=len(lessons),
            lessons_completed=sum(percent == 100 for percent in percents),
            resume=LessonLink(left[0].id, left[0].title) if left else LessonLink("none", ""),
        )

    def _find(self, slug: str) -> Course | None:
        return next((course for course in self.courses if course.slug == slug), None)


def demo_courses(count: int) -> list[Course]:
    return [_course(catalogue.course(number)) for number in range(1, count + 1)]


def card_of(course: Course) -> CourseCard:
    return CourseCard(**{name: getattr(course, name) for name in CourseCard.__dataclass_fields__})


def _course(demo: catalogue.DemoCourse) -> Course:
    sections = [
        Section(
            section.title,
            [
                Lesson(
                    f"{demo.number}-{at}-{index}", lesson.title, lesson.kind, lesson.preview, lesson.duration_seconds
                )
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
