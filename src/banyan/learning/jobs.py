"""What learning does by itself."""

import asyncio

import structlog

from banyan.infra.postgres import DatabaseAway
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
