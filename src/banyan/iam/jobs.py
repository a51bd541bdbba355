"""What iam does by itself: send mails, keep keys young, and forget what is over."""

import asyncio
from datetime import UTC, datetime

import structlog

from banyan.iam.operations.housekeeping import Housekeeping
from banyan.iam.operations.mails import Mails
from banyan.iam.operations.person_keys import PersonKeys
from banyan.kit.errors import Unavailable

log = structlog.get_logger()

_BETWEEN_CLEANINGS = 60.0
_BETWEEN_SEALINGS = 0.02  # others need the database, too


async def send_mails(mails: Mails, *, pause: float) -> None:
    """Until cancelled. A mail that nobody takes waits longer every time."""
    while True:
        try:
            while await mails.send_next(now=datetime.now(UTC)):
                pass
        except Unavailable as fault:
            log.warning("mails wait for the database", reason=str(fault))
        await asyncio.sleep(pause)


async def seal_old_events(person_keys: PersonKeys) -> None:
    """Until cancelled, and not only at the start: the program before this one may run on for a while."""
    while True:
        try:
            sealed = 0
            while done := await person_keys.seal_old_events(now=datetime.now(UTC)):
                sealed += done
                await asyncio.sleep(_BETWEEN_SEALINGS)
            if sealed:
                log.info("sealed the personal data of events from before", events=sealed)
        except Unavailable as fault:
            log.warning("events wait to be sealed", reason=str(fault))
        except Exception:  # whatever is wrong with one old event, people must be able to sign in
            log.exception("events cannot be sealed")
        await asyncio.sleep(_BETWEEN_CLEANINGS)


async def keep_house(housekeeping: Housekeeping) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(_BETWEEN_CLEANINGS)
        try:
            await housekeeping.clean(now=datetime.now(UTC))
        except Unavailable as fault:
            log.warning("cleaning waits for the database", reason=str(fault))
