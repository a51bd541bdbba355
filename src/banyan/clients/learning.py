"""`learning`, as the pages call it: over the private listener, under its breakers and deadlines."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from banyan.contracts.learning import (
    Course,
    CoursePage,
    CourseProgress,
    Enrolment,
    EnrolmentPage,
    Heartbeat,
    LessonPage,
    NewEnrolment,
    Standing,
)
from banyan.infra.http_client import HttpClient, ServiceRefused


class LearningClient:
    """Answers typed; raises ServiceRefused (status 404: no such course) and ServiceAway."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def courses(
        self,
        *,
        language: str | None = None,
        level: str | None = None,
        category: str | None = None,
        price: str | None = None,
        q: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> CoursePage:
        """A page of the course list. Values go as they are, a visitor's too: the service refuses what is wrong.
        An empty one, as a form sends it, asks for nothing."""
        asked = {
            "language": language,
            "level": level,
            "category": category,
            "price": price,
            "q": q,
            "sort": sort,
            "limit": None if limit is None else str(limit),
            "after": after,
        }
        params = {name: value for name, value in asked.items() if value}
        return await self._http.get("/api/v1/courses", CoursePage, params=params)

    async def course(self, slug: str, *, token: str | None = None) -> Course:
        return await self._http.call("GET", f"/api/v1/courses/{_slug(slug)}", Course, headers=_bearer(token))

    async def enrol(self, slug: str, *, token: str) -> Enrolment:
        """Once, however often it is asked. Raises ServiceRefused (402: the course has a price)."""
        wanted = NewEnrolment(course=slug)
        return await self._http.call("POST", "/api/v1/enrolments", Enrolment, body=wanted, headers=_bearer(token))

    async def enrolments(self, *, token: str, limit: int | None = None, after: str | None = None) -> EnrolmentPage:
        asked = {"limit": None if limit is None else str(limit), "after": after}
        params = {name: value for name, value in asked.items() if value}
        return await self._http.call("GET", "/api/v1/enrolments", EnrolmentPage, params=params, headers=_bearer(token))

    async def course_progress(self, slug: str, *, token: str) -> CourseProgress:
        """Raises ServiceRefused (403: not enrolled)."""
        path = f"/api/v1/courses/{_slug(slug)}/progress"
        return await self._http.call("GET", path, CourseProgress, headers=_bearer(token))

    async def lesson(self, lesson_id: str, *, token: str | None) -> LessonPage:
        """Raises ServiceRefused (401: signed out, 403: not enrolled), unless the lesson is a preview."""
        return await self._http.call("GET", f"/api/v1/lessons/{_lesson(lesson_id)}", LessonPage, headers=_bearer(token))

    async def hear(
        self,
        lesson_id: str,
        *,
        position_seconds: float,
        watched: Sequence[tuple[float, float]],
        sent_at: datetime | None = None,
        token: str,
    ) -> Standing:
        """A heartbeat. A text is read to its end by the first one."""
        path = f"/api/v1/lessons/{_lesson(lesson_id)}/progress"
        told = Heartbeat(position_seconds=position_seconds, watched=list(watched), sent_at=sent_at)
        return await self._http.call("PUT", path, Standing, body=told, headers=_bearer(token))


def _slug(slug: str) -> str:
    # In a URL's path these mean another place than a course of that name, even percent-encoded.
    if "/" in slug or slug in ("", ".", ".."):
        raise ServiceRefused(404, "course-unknown", "There is no course by that name.")
    return quote(slug, safe="")


def _lesson(lesson_id: str) -> str:
    if "/" in lesson_id or lesson_id in ("", ".", ".."):
        raise ServiceRefused(404, "lesson-unknown", "There is no such lesson in a course that is published.")
    return quote(lesson_id, safe="")


def _bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token is not None else {}
