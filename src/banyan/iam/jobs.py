"""What iam does by itself: send mails, keep keys young, and forget what is over."""

import asyncio
from datetime import UTC, datetime

import structlog

from banyan.iam.operations.housekeeping import Housekeeping
from banyan.iam.operations.mails import Mails
from banyan.kit.errors import Unavailable

log = structlog.get_logger()

_BETWEEN_CLEANINGS = 60.0


async def send_mails(mails: Mails, *, pause: float) -> None:
    """Until cancelled. A mail that nobody takes waits longer every time."""
    while True:
        try:
            while await mails.send_next(now=datetime.now(UTC)):
                pass
        except Unavailable as fault:
            log.warning("mails wait for the database", reason=str(fault))
        await asyncio.sleep(pause)


async def keep_house(housekeeping: Housekeeping) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(_BETWEEN_CLEANINGS)
        try:
            await housekeeping.clean(now=datetime.now(UTC))
        except Unavailable as fault:
            log.warning("cleaning waits for the database", reason=str(fault))
