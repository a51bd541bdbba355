"""Telling somebody: by mail, or by a webhook that is signed."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import msgspec

from banyan.infra.mail import Mail, MailNotSent, mailer
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.monitor.domain.rules import Recipient

SECRET = "alert-webhook"  # noqa: S105 # the name of a secret, not one
SIGNATURE = "x-banyan-signature"
TIMESTAMP = "x-banyan-timestamp"
DELIVERY = "x-banyan-delivery"

_WEBHOOK_SECONDS = 5.0


class NotTold(Exception):
    """The message says why, without a secret of the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`id` is the same at every attempt; `document` is what a webhook gets."""

    id: str
    subject: str
    body: str
    document: dict[str, Any]
    at: datetime


class Teller:
    def __init__(self, settings: Settings) -> None:
        self._mailer = mailer(settings)
        self._secret = secret(settings.secrets, SECRET).encode()

    async def tell(self, to: Recipient, message: Message) -> None:
        """Raises NotTold."""
        if to.way == "mail":
            await self._mail(to.address, message)
        else:
            await self._call(to.address, message)

    async def _mail(self, address: str, message: Message) -> None:
        if self._mailer is None:
            raise NotTold("no mail server is set (BANYAN_SMTP_URL)")
        mail = Mail(id=message.id, recipient=address, subject=message.subject, body=message.body, at=message.at)
        try:
            await self._mailer.send(mail)
        except MailNotSent as fault:
            raise NotTold(f"the mail server did not take it: {fault}"[:200]) from fault

    async def _call(self, url: str, message: Message) -> None:
        body = msgspec.json.encode(message.document)
        stamp = str(int(message.at.timestamp()))
        headers = {
            "content-type": "application/json",
            "user-agent": "Banyan",
            DELIVERY: message.id,
            TIMESTAMP: stamp,
            SIGNATURE: signature(self._secret, stamp, body),
        }
        timeout = aiohttp.ClientTimeout(total=_WEBHOOK_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError as fault:
            raise NotTold(f"no answer within {_WEBHOOK_SECONDS:.0f} s") from fault
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            raise NotTold(f"it cannot be reached ({type(fault).__name__})") from fault
        if not 200 <= status < 300:
            raise NotTold(f"it answered {status}")


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """Of the time and the body, so that an old message cannot be sent again as a new one."""
    return "sha256=" + hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
