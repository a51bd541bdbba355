"""`/courses`, `/courses/{slug}` and the button there that enrols."""

import asyncio

from fastapi import APIRouter, Request, Response

from banyan.clients.learning import LearningClient
from banyan.contracts.learning import Course, CourseProgress
from banyan.infra.http_client import ServiceAway, ServiceRefused
from banyan.infra.identity import ForeignPage
from banyan.infra.pages import Pages, reader_of
from banyan.web.pages import answers
from banyan.web.pages.cards import DrawCard
from banyan.web.pages.forms import Forms
from banyan.web.pages.visitors import caller_of, token_of
from banyan.web.views import addresses
from banyan.web.views.catalogue import course_link, course_list
from banyan.web.views.course import course_view
from banyan.web.views.filters import Filters
from banyan.web.views.room import lesson_link


def add(routes: APIRouter, shown: Pages, learning: LearningClient, forms: Forms, card: DrawCard, *, site: str) -> None:
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
        slug, token = request.path_params["slug"], token_of(request)
        found, taken = await asyncio.gather(learning.course(slug), _taken(slug, token))
        return _course_page(request, found, taken, said=request.query_params.get("enrol", ""))

    async def enrol(request: Request) -> Response:
        slug, caller = request.path_params["slug"], caller_of(request)
        if caller is None:
            return answers.onward(addresses.with_query("/login", next=course_link(slug)))
        typed = await forms.read(request)
        if not typed.ours:
            raise ForeignPage
        try:
            taken = await learning.enrol(slug, token=caller.token)
        except ServiceRefused as refusal:
            if refusal.status == 401:
                return answers.onward(addresses.with_query("/login", next=course_link(slug)))
            if refusal.status == 402:
                return answers.onward(addresses.with_query(course_link(slug), enrol="paid"))
            raise
        return answers.onward(lesson_link(slug, taken.resume.id))

    async def enrol_page(request: Request) -> Response:
        return answers.onward(course_link(request.path_params["slug"]))

    def _course_page(request: Request, found: Course, taken: CourseProgress | None, *, said: str) -> Response:
        view = course_view(found, site=site)
        return shown.render(
            request,
            "course.html",
            view=view,
            canonical=view.canonical,
            taken=taken,
            said=said if said in ("first", "paid") else "",
        )

    async def _taken(slug: str, token: str | None) -> CourseProgress | None:
        if token is None:
            return None
        try:
            return await learning.course_progress(slug, token=token)
        except (ServiceAway, ServiceRefused):
            return None

    async def without_slash(request: Request) -> Response:
        reader = reader_of(request)
        query = request.url.query
        return _moved(reader.path.rstrip("/") + (f"?{query}" if query else ""), 308)

    routes.add_route("/courses", shown.page(courses))
    routes.add_route("/courses/", without_slash)
    routes.add_route("/courses/{slug}", shown.page(course))
    routes.add_route("/courses/{slug}/enrolment", enrol_page)
    routes.add_route("/courses/{slug}/enrolment", enrol, methods=["POST"])
    routes.add_route("/courses/{slug}/", without_slash)


def _moved(location: str, status: int) -> Response:
    return Response(status_code=status, headers={"location": location, "cache-control": "no-cache"})
