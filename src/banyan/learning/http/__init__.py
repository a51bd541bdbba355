"""The faces of learning: the catalogue, enrolments, lessons and their files."""

from collections.abc import Sequence

from fastapi import APIRouter

from banyan.infra.identity import Verifier
from banyan.infra.postgres import Database
from banyan.learning.adapters import MediaFolder
from banyan.learning.domain.media import Signer
from banyan.learning.http import courses, enrolments, lessons, media
from banyan.learning.operations.views import Views


def routers(
    database: Database, *, verifier: Verifier, signer: Signer, folder: MediaFolder, views: Views
) -> Sequence[APIRouter]:
    return (
        courses.router(database, verifier, views),
        enrolments.router(database, verifier),
        lessons.router(database, verifier, signer),
        media.router(folder, verifier, signer),
    )
