"""`/me` and `/learn`: one's own courses, and the room in which they are taken."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from banyan.clients.learning import LearningClient
from banyan.contracts.learning import Enrolment, LessonPage
from banyan.infra.http_client import ServiceAway, ServiceRefused
from banyan.infra.pages import Pages
from banyan.web.pages import answers
from banyan.web.pages.forms import Forms
from banyan.web.pages.visitors import caller_of, token_of
from banyan.web.views import addresses
from banyan.web.views.catalogue import course_link
from banyan.web.views.room import lesson_link, room

_AT_ONCE = 50
_LONGEST_CURSOR = 500


def add(routes: APIRouter, shown: Pages, learning: LearningClient, forms: Forms) -> None:
    _add_mine(routes, shown, learning)
    _add_room(routes, shown, learning, forms)


def _add_mine(routes: APIRouter, shown: Pages, learning: LearningClient) -> None:
    async def mine(request: Request) -> Response:
        caller = caller_of(request)
        if caller is None:
            return answers.to_sign_in(request)
        after = request.query_params.get("after", "")[:_LONGEST_CURSOR]
        taken: list[Enrolment] | None = None
        following = ""
        try:
            page = await learning.enrolments(token=caller.token, limit=_AT_ONCE, after=after or None)
            taken, following = page.items, page.next or ""
        except ServiceAway:
            pass
        except ServiceRefused as refusal:
            if refusal.status == 401:
                return answers.to_sign_in(request)
            return answers.onward("/me")
        return answers.private(
            shown,
            request,
            "me.html",
            status=200 if taken is not None else 503,
            taken=taken,
            next=f"/me?after={quote(following, safe='')}" if following else "",
        )

    routes.add_route("/me", shown.page(mine))


def _add_room(routes: APIRouter, shown: Pages, learning: LearningClient, forms: Forms) -> None:
    async def resume(request: Request) -> Response:
        caller = caller_of(request)
        slug = request.path_params["slug"]
        if caller is None:
            return answers.to_sign_in(request)
        try:
            way = await learning.course_progress(slug, token=caller.token)
        except ServiceRefused as refusal:
            return _instead(request, refusal, slug)
        return answers.onward(lesson_link(slug, way.resume.id))

    async def lesson(request: Request) -> Response:
        slug = request.path_params["slug"]
        try:
            page = await learning.lesson(request.path_params["lesson"], token=token_of(request))
        except ServiceRefused as refusal:
            return _instead(request, refusal, slug)
        return _drawn(request, page, slug)

    async def done(request: Request) -> Response:
        """The button of a text, for those without script: read to its end."""
        caller = caller_of(request)
        slug, lesson_id = request.path_params["slug"], request.path_params["lesson"]
        if caller is None:
            return answers.to_sign_in(request)
        typed = await forms.read(request)
        try:
            if not typed.ours:
                page = await learning.lesson(lesson_id, token=caller.token)
                return _drawn(request, page, slug, status=403, problem="foreign-page")
            await learning.hear(lesson_id, position_seconds=0, watched=[], token=caller.token)
        except ServiceRefused as refusal:
            return _instead(request, refusal, slug)
        onward = addresses.same_site(typed.text("next"), otherwise=lesson_link(slug, lesson_id))
        return answers.onward(onward)

    def _drawn(request: Request, page: LessonPage, slug: str, *, status: int = 200, problem: str = "") -> Response:
        if page.course != slug:
            return answers.onward(lesson_link(page.course, page.id))
        return answers.private(shown, request, "room.html", status=status, room=room(page), problem=problem)

    def _instead(request: Request, refusal: ServiceRefused, slug: str) -> Response:
        """Where somebody goes who may not be in the room: to sign in, or to the course to enrol."""
        if refusal.status == 401:
            return answers.to_sign_in(request)
        if refusal.status == 403:
            return answers.onward(addresses.with_query(course_link(slug), enrol="first"))
        if refusal.status == 404:
            raise HTTPException(404)
        raise refusal

    routes.add_route("/learn/{slug}", shown.page(resume))
    routes.add_route("/learn/{slug}/{lesson}", shown.page(lesson))
    routes.add_route("/learn/{slug}/{lesson}", done, methods=["POST"])
