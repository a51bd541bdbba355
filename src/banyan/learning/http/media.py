"""`/_banyan/media`: the files of lessons, by signed addresses and in ranges."""

import re
import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse

from banyan.infra import identity
from banyan.infra.identity import Caller, Verifier
from banyan.learning.adapters import MediaFolder
from banyan.learning.domain import media
from banyan.learning.domain.courses import PersonId
from banyan.learning.domain.media import Signer

_RANGE = re.compile(r"bytes=\s*(?:\d{1,18}-\d{0,18}|-\d{1,18})(?:\s*,\s*(?:\d{1,18}-\d{0,18}|-\d{1,18}))*\s*", re.I)
_PAIR = re.compile(r"(\d+)-(\d+)")


def router(folder: MediaFolder, verifier: Verifier, signer: Signer) -> APIRouter:
    routes = APIRouter(prefix=media.PREFIX, include_in_schema=False)
    anybody = Depends(identity.caller(verifier))

    @routes.head("/{lesson_id}/{file}")
    @routes.get("/{lesson_id}/{file}")
    async def play(
        request: Request,
        lesson_id: str,
        file: str,
        caller: Annotated[Caller | None, anybody],
        expires: Annotated[int, Query(ge=0, lt=10**11)] = 0,
        signature: Annotated[str, Query(max_length=64)] = "",
    ) -> FileResponse:
        person_id = PersonId(uuid.UUID(caller.account_id)) if caller is not None else None
        now = datetime.now(UTC)
        signer.check(lesson_id, file, expires=expires, signature=signature, person_id=person_id, now=now)
        path = await folder.find(file)
        _forget_malformed_range(request)
        left = expires - int(now.timestamp())
        return FileResponse(
            path,
            media_type=media.TYPES[path.suffix[1:]],
            headers={"cache-control": f"private, max-age={left}", "x-content-type-options": "nosniff"},
        )

    return routes


def _forget_malformed_range(request: Request) -> None:
    """RFC 9110: what is no valid range of bytes is as if it were not there. Starlette would answer 400."""
    given = request.headers.get("range")
    if given is None:
        return
    backwards = any(int(first) > int(last) for first, last in _PAIR.findall(given)) if len(given) < 2000 else True
    if backwards or not _RANGE.fullmatch(given):
        request.scope["headers"] = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
