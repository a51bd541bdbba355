"""`/api/v1/courses`: what anybody may read of the catalogue."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from banyan.contracts import learning as wire
from banyan.infra import http
from banyan.infra.postgres import Database
from banyan.kit.paging import DEFAULT_LIMIT, MAX_LIMIT
from banyan.learning import queries
from banyan.learning.domain import CourseUnknown, SlugNotUsable, usable_slug


def router(database: Database) -> APIRouter:
    routes = APIRouter(prefix="/api/v1")

    @routes.get("/courses", response_model=wire.CoursePage)
    async def courses(
        request: Request,
        language: wire.Language | None = None,
        level: wire.Level | None = None,
        category: Annotated[str | None, Query(max_length=50)] = None,
        price: Literal["free", "paid"] | None = None,
        q: Annotated[str | None, Query(max_length=200)] = None,
        sort: queries.Sort = "newest",
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        after: Annotated[str | None, Query(max_length=500)] = None,
    ) -> Response:
        wanted = queries.Filter(
            language=language,
            level=level,
            category=category,
            free=None if price is None else price == "free",
            text=q,
        )
        return http.json_response(
            await queries.published_courses(database, wanted, sort=sort, limit=limit, after=after)
        )

    @routes.get("/courses/{slug}", response_model=wire.Course)
    async def course(slug: str) -> Response:
        try:
            usable = usable_slug(slug)
        except SlugNotUsable:
            raise CourseUnknown from None
        return http.json_response(await queries.course_page(database, usable))

    return routes
