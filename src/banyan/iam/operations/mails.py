"""Mails go out after the operation that wrote them has committed, at least once, until they are too old to help."""

from datetime import datetime, timedelta

import structlog

from banyan.iam.store import mails as store
from banyan.infra.mail import Mailer, MailNotSent
from banyan.infra.postgres import Database

log = structlog.get_logger()

_LEASE = timedelta(seconds=30)  # longer than one attempt may take


class Mails:
    def __init__(self, database: Database, mailer: Mailer | None) -> None:
        self._database = database
        self._mailer = mailer
        self._told = False

    async def send_next(self, *, now: datetime) -> bool:
        """Send one that is due; whether there was one. No transaction is open while the mail server thinks."""
        async with self._database.transaction() as tx:
            await store.give_up(tx, now=now)
            mail = await store.claim(tx, now=now, lease=_LEASE)
        if mail is None:
            return False
        if self._mailer is None:
            if not self._told:
                log.warning("mails wait, because there is no mail server: set BANYAN_SMTP_URL")
            self._told = True
            return True
        try:
            await self._mailer.send(mail)
        except MailNotSent as fault:
            log.warning("mail not sent; it is tried again", mail=mail.id, reason=str(fault))
            return True
        async with self._database.transaction() as tx:
            await store.remove(tx, mail.id)
        return True
