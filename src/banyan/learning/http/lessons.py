"""`/api/v1/lessons`: a lesson's page in one answer, and heartbeats."""

import uuid
from datetime import UTC, datetime
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from banyan.contracts import learning as wire
from banyan.contracts.identity import Permission
from banyan.infra import http, identity
from banyan.infra.http import PROBLEM
from banyan.infra.identity import Caller, SignedOut, Verifier
from banyan.infra.postgres import Database
from banyan.learning.domain import media
from banyan.learning.domain.courses import LessonId, PersonId
from banyan.learning.domain.enrolments import LessonUnknown, NotEnrolled
from banyan.learning.domain.media import Signer
from banyan.learning.domain.progress import heartbeat
from banyan.learning.operations import progress as operations
from banyan.learning.operations.progress import Progress
from banyan.learning.queries import taking as queries
from banyan.learning.queries.taking import Taking

_PRIVATE = {"cache-control": "private, no-store"}


def router(database: Database, verifier: Verifier, signer: Signer) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["lessons"])
    progress = Progress(database)
    taking = Taking(database)
    anybody = Depends(identity.caller(verifier))
    may_learn = Depends(identity.required(verifier, Permission.LEARN))

    @routes.get(
        "/lessons/{lesson_id}",
        response_model=wire.LessonPage,
        operation_id="lesson",
        summary="A lesson, its neighbours and the curriculum. Previews are for everybody, others for who enrolled.",
        responses=dict.fromkeys((401, 403, 404, 503), PROBLEM),
    )
    async def lesson(lesson_id: str, caller: Annotated[Caller | None, anybody]) -> Response:
        now = datetime.now(UTC)
        person_id = _person(caller) if caller is not None and caller.may(Permission.LEARN) else None
        seen = await taking.lesson(person_id, _lesson_id(lesson_id), now=now)
        page = seen.page
        if not (page.preview or page.enrolled):
            raise SignedOut if caller is None else NotEnrolled
        if seen.media:
            page = queries.with_media(page, _media(signer, page, seen.media, person_id, now=now))
        return http.json_response(page, headers=_PRIVATE)

    @routes.put(
        "/lessons/{lesson_id}/progress",
        response_model=wire.Standing,
        operation_id="hearProgress",
        summary="Tell how far the caller is in a lesson. Telling it twice, late or in another order changes nothing.",
        responses=dict.fromkeys((401, 403, 404, 422, 503), PROBLEM),
    )
    async def hear(lesson_id: str, told: wire.Heartbeat, caller: Annotated[Caller, may_learn]) -> Response:
        now = datetime.now(UTC)
        beat = heartbeat(position_seconds=told.position_seconds, watched=told.watched, sent_at=told.sent_at, now=now)
        standing = await progress.hear(person_id=_person(caller), lesson_id=_lesson_id(lesson_id), beat=beat, now=now)
        return http.json_response(_standing(standing), headers=_PRIVATE)

    return routes


def _standing(standing: operations.Standing) -> wire.Standing:
    lesson = standing.lesson
    return wire.Standing(
        lesson=queries.lesson_progress(
            percent=lesson.percent, position=lesson.position, watched=list(chain.from_iterable(lesson.watched))
        ),
        course_percent=standing.course_percent,
        course_completed=standing.course_completed,
    )


def _media(
    signer: Signer, page: wire.LessonPage, file: str, person_id: PersonId | None, *, now: datetime
) -> wire.Media:
    whose = None if page.preview else person_id
    url, expires_at = signer.url(LessonId(uuid.UUID(page.id)), file, whose, now=now)
    return wire.Media(url=url, type=media.TYPES[file.rsplit(".", 1)[-1]], expires_at=expires_at)


def _person(caller: Caller) -> PersonId:
    return PersonId(uuid.UUID(caller.account_id))


def _lesson_id(given: str) -> LessonId:
    try:
        return LessonId(uuid.UUID(given))
    except ValueError:
        raise LessonUnknown from None
