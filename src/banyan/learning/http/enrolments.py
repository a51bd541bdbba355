"""`/api/v1/enrolments` and a course's progress: what the caller takes."""

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from banyan.contracts import learning as wire
from banyan.contracts.identity import Permission
from banyan.infra import http, identity
from banyan.infra.http import PROBLEM
from banyan.infra.identity import Caller, Verifier
from banyan.infra.postgres import Database
from banyan.kit.paging import DEFAULT_LIMIT, MAX_LIMIT
from banyan.learning.domain.courses import CourseUnknown, PersonId, SlugNotUsable, usable_slug
from banyan.learning.operations.enrolments import Enrolments
from banyan.learning.queries.taking import Taking

PRIVATE = {"cache-control": "private, no-store"}


def router(database: Database, verifier: Verifier) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["enrolments"])
    enrolments = Enrolments(database)
    taking = Taking(database)
    may_enrol = Depends(identity.required(verifier, Permission.ENROL))
    may_learn = Depends(identity.required(verifier, Permission.LEARN))

    @routes.post(
        "/enrolments",
        response_model=wire.Enrolment,
        status_code=201,
        operation_id="enrol",
        summary="Enrol in a course, once: 200 where it had been done before.",
        responses={
            200: {"model": wire.Enrolment, "description": "Was enrolled already."},
            **dict.fromkeys((401, 402, 403, 404, 422, 503), PROBLEM),
        },
    )
    async def enrol(asked: wire.NewEnrolment, caller: Annotated[Caller, may_enrol]) -> Response:
        slug = _slug(asked.course)
        enrolled = await enrolments.enrol(slug=slug, person_id=_person(caller), now=datetime.now(UTC))
        answer = await taking.enrolment(_person(caller), slug)
        return http.json_response(answer, 201 if enrolled.first else 200, PRIVATE)

    @routes.get(
        "/enrolments",
        response_model=wire.EnrolmentPage,
        operation_id="enrolments",
        summary="The caller's courses, the newest first, a page at a time.",
        responses=dict.fromkeys((401, 403, 422, 503), PROBLEM),
    )
    async def mine(
        caller: Annotated[Caller, may_learn],
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        after: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
    ) -> Response:
        return http.json_response(await taking.enrolments(_person(caller), limit=limit, after=after), headers=PRIVATE)

    @routes.get(
        "/courses/{slug}/progress",
        response_model=wire.CourseProgress,
        operation_id="courseProgress",
        summary="How far the caller is in a course, lesson by lesson.",
        responses=dict.fromkeys((401, 403, 404, 422, 503), PROBLEM),
    )
    async def progress(slug: str, caller: Annotated[Caller, may_learn]) -> Response:
        return http.json_response(await taking.progress(_person(caller), _slug(slug)), headers=PRIVATE)

    return routes


def _person(caller: Caller) -> PersonId:
    return PersonId(uuid.UUID(caller.account_id))


def _slug(given: str) -> str:
    try:
        return usable_slug(given)
    except SlugNotUsable:
        raise CourseUnknown from None
