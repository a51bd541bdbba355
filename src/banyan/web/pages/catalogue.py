"""`/courses` and `/courses/{slug}`."""

from fastapi import APIRouter, Request, Response

from banyan.clients.learning import LearningClient
from banyan.infra.http_client import ServiceRefused
from banyan.infra.pages import Pages, reader_of
from banyan.web.pages.cards import DrawCard
from banyan.web.views.catalogue import course_list
from banyan.web.views.course import course_view
from banyan.web.views.filters import Filters


def add(routes: APIRouter, shown: Pages, learning: LearningClient, card: DrawCard, *, site: str) -> None:
    async def courses(request: Request) -> Response:
        filters = Filters.read(request.query_params)
        try:
            page = await learning.courses(
                language=filters.language or None,
                level=filters.level or None,
                category=filters.category or None,
                price=filters.price or None,
                q=filters.q or None,
                sort=filters.sort or None,
                after=filters.after or None,
            )
        except ServiceRefused:
            if not filters.after:
                raise
            return _moved(filters.link(), 303)  # a place in the list that is no more: its start
        locale = reader_of(request).locale
        view = course_list(filters, page, [card(course, locale, "h2") for course in page.items])
        return shown.render(request, "courses.html", view=view, canonical=view.canonical)

    async def course(request: Request) -> Response:
        found = await learning.course(request.path_params["slug"])
        view = course_view(found, site=site)
        return shown.render(request, "course.html", view=view, canonical=view.canonical)

    async def without_slash(request: Request) -> Response:
        reader = reader_of(request)
        query = request.url.query
        return _moved(reader.path.rstrip("/") + (f"?{query}" if query else ""), 308)

    routes.add_route("/courses", shown.page(courses))
    routes.add_route("/courses/", without_slash)
    routes.add_route("/courses/{slug}", shown.page(course))
    routes.add_route("/courses/{slug}/", without_slash)


def _moved(location: str, status: int) -> Response:
    return Response(status_code=status, headers={"location": location, "cache-control": "no-cache"})
