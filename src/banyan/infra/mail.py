"""Mail: sent by SMTP, or in the demo put where the visitor can read it."""

import os
import ssl
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from banyan.infra.settings import Settings

_TIMEOUT = 10.0
_KEPT = 200


class MailNotSent(Exception):
    """The mail server did not take it; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """`id` is the same at every attempt, so that a receiver can tell a repetition."""

    id: str
    recipient: str
    subject: str
    body: str
    at: datetime


class Mailer(Protocol):
    async def send(self, mail: Mail) -> None:
        """Raises MailNotSent."""


def mailer(settings: Settings) -> Mailer | None:
    """By SMTP where a server is set; in the demo into its mailbox; otherwise mails wait."""
    if settings.smtp_url:
        return SmtpMailer(settings.smtp_url, settings.mail_from)
    if settings.demo:
        return Mailbox(settings)
    return None


class SmtpMailer:
    def __init__(self, url: str, sender: str) -> None:
        self._server = urlsplit(url)
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        implicit = self._server.scheme == "smtps"
        try:
            await aiosmtplib.send(
                _message(mail, self._sender),
                hostname=self._server.hostname,
                port=self._server.port or (465 if implicit else 25),
                username=unquote(self._server.username) if self._server.username else None,
                password=unquote(self._server.password) if self._server.password else None,
                use_tls=implicit,
                tls_context=ssl.create_default_context(),
                timeout=_TIMEOUT,
            )
        except (aiosmtplib.SMTPException, OSError, ValueError) as fault:
            raise MailNotSent(repr(fault)) from fault


class Mailbox:
    """The demo's: every mail is a file; the newest are kept."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data / "mail"
        self._sender = settings.mail_from

    async def send(self, mail: Mail) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            name = f"{mail.at:%Y%m%d%H%M%S%f}-{mail.id}.eml"
            draft = self._folder / f".{name}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_message(mail, self._sender).as_bytes())
            draft.replace(self._folder / name)
            for old in sorted(self._folder.glob("*.eml"))[:-_KEPT]:
                old.unlink(missing_ok=True)
        except OSError as fault:
            raise MailNotSent(repr(fault)) from fault

    def newest(self, count: int = 50) -> list[Mail]:
        """The newest first."""
        paths = sorted(self._folder.glob("[!.]*.eml"), reverse=True)[:count]
        return [_read(path) for path in paths]


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = sender
    message["To"] = mail.recipient
    message["Subject"] = mail.subject
    message["Date"] = mail.at
    message["Message-ID"] = f"<{mail.id}@banyan>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    return message


def _read(path: Path) -> Mail:
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    return Mail(
        id=str(message["Message-ID"])[1:].split("@")[0],
        recipient=str(message["To"]),
        subject=str(message["Subject"]),
        body=message.get_content(),
        at=message["Date"].datetime,
    )
