"""`/api/v1/courses`: what anybody may read of the catalogue."""

import re
import unicodedata
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from banyan.contracts import learning as wire
from banyan.infra import http
from banyan.infra.http import PROBLEM
from banyan.infra.identity import Verifier
from banyan.infra.postgres import Database
from banyan.kit.errors import Refused
from banyan.kit.paging import DEFAULT_LIMIT, MAX_LIMIT
from banyan.learning.domain.courses import CourseUnknown, SlugNotUsable, usable_slug
from banyan.learning.operations.views import Views
from banyan.learning.queries.catalogue import Catalogue, Filter, Sort

# U+FFFD is what the server made of bytes that are not UTF-8.
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")


class QueryNotText(Refused):
    """A filter has control characters in it or is not UTF-8."""

    status = 400


_UNCHANGED: dict[str, object] = {"description": "The caller's copy, named by `If-None-Match`, still holds."}


def router(database: Database, verifier: Verifier, views: Views) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["courses"])
    catalogue = Catalogue(database)

    @routes.head("/courses", include_in_schema=False)
    @routes.get(
        "/courses",
        response_model=wire.CoursePage,
        operation_id="courses",
        summary="The published courses, a page at a time.",
        responses={304: _UNCHANGED, 400: PROBLEM, 422: PROBLEM, 503: PROBLEM},
    )
    async def courses(
        request: Request,
        language: wire.Language | None = None,
        level: wire.Level | None = None,
        category: Annotated[str | None, Query(max_length=50)] = None,
        price: Literal["free", "paid"] | None = None,
        q: Annotated[str | None, Query(max_length=200, description="A part of the title.")] = None,
        sort: Sort = "newest",
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        after: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
    ) -> Response:
        wanted = Filter(
            language=language,
            level=level,
            category=_text(category),
            free=None if price is None else price == "free",
            text=_text(q),
        )
        return _answer(request, await catalogue.courses(wanted, sort=sort, limit=limit, after=after))

    @routes.head("/courses/{slug}", include_in_schema=False)
    @routes.get(
        "/courses/{slug}",
        response_model=wire.Course,
        operation_id="course",
        summary="A course as its published version shows it.",
        responses={304: _UNCHANGED, 404: PROBLEM, 422: PROBLEM, 503: PROBLEM},
    )
    async def course(request: Request, slug: str) -> Response:
        try:
            usable = usable_slug(slug)
        except SlugNotUsable:
            raise CourseUnknown from None
        found = await catalogue.course(usable)
        if request.method == "GET":
            who = await verifier.caller(request)
            views.note(found.id, who.account_id if who is not None else None, now=datetime.now(UTC))
        return _answer(request, found)

    return routes


def _text(given: str | None) -> str | None:
    """In normal form, with single blanks; nothing at all is no filter. Raises QueryNotText."""
    if given is None:
        return None
    if _UNUSABLE.search(given):
        raise QueryNotText
    return " ".join(unicodedata.normalize("NFC", given).split()) or None


def _answer(request: Request, value: wire.CoursePage | wire.Course) -> Response:
    """The value, or 304 for a caller that has it. Nobody may use it again unasked: a course published now shows now."""
    response = http.json_response(value)
    tag = f'"{blake2b(response.body, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response
