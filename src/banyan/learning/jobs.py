"""What learning does by itself."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from banyan.infra.postgres import DatabaseAway
from banyan.kit.errors import Unavailable
from banyan.learning.adapters import MediaFolder
from banyan.learning.operations.views import Views

log = structlog.get_logger()

PAUSE_SECONDS = 1.0


async def tell_views(views: Views, *, pause_seconds: float = PAUSE_SECONDS) -> None:
    """Every second, until cancelled."""
    while True:
        await asyncio.sleep(pause_seconds)
        try:
            await views.tell()
        except DatabaseAway:
            log.warning("views wait for the database")
        except Exception:
            log.exception("views could not be told")


async def make_ahead(folder: MediaFolder, name: str, *, after: Callable[[], Awaitable[None]]) -> None:
    """Make a file before anybody asks for it, once `after` no longer raises Unavailable: others come first."""
    while True:
        await asyncio.sleep(PAUSE_SECONDS)
        try:
            await after()
        except Unavailable:
            continue
        await folder.find(name)
        return
