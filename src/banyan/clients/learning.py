"""`learning`, as the pages call it: over the private listener, under its breakers and deadlines."""

from urllib.parse import quote

from banyan.contracts.learning import Course, CoursePage
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

    async def course(self, slug: str) -> Course:
        # In a URL's path these mean another place than a course of that name, even percent-encoded.
        if "/" in slug or slug in ("", ".", ".."):
            raise ServiceRefused(404, "course-unknown", "There is no course by that name.")
        return await self._http.get(f"/api/v1/courses/{quote(slug, safe='')}", Course)
