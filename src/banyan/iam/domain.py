"""Accounts and sessions and the rules they obey. No I/O, no clock."""

import hashlib
import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType
from uuid import UUID

from banyan.contracts.identity import Role
from banyan.kit.errors import Conflict, NotFound, Refusal, Refused, Unavailable

AccountId = NewType("AccountId", UUID)
SessionId = NewType("SessionId", UUID)

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 256
LONGEST_NAME = 50
LONGEST_REASON = 200
LOCALES = ("ko", "en")

# One @, no blanks or control characters, a dot in the domain. Whether it exists, only a mail can tell.
_EMAIL = re.compile(
    r"[^\s@<>\"(),:;\\\[\]\x00-\x1f\x7f\ud800-\udfff]{1,64}@[^\s@<>\"(),:;\\\[\]\x00-\x1f\x7f\ud800-\udfff]+\.[^\s@.]{2,63}"
)
_UNPRINTABLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


class EmailNotUsable(Refused):
    """This is not an e-mail address that mail could be sent to."""


class NameNotUsable(Refused):
    """A name has 1 to 50 characters and no control characters."""


class PasswordNotUsable(Refused):
    """A password has at least 8 characters (at most 256) and is not the e-mail address."""


class EmailTaken(Conflict):
    """There is an account with this e-mail address. Sign in, or have the password reset."""


class WrongCredentials(Refusal):
    """This e-mail address and this password do not belong together."""

    status = 401


class WrongPassword(Refused):
    """This is not the present password."""


class TooManyAttempts(Refusal):
    """Too many failed attempts. Wait, or have the password reset."""

    status = 429

    def __init__(self, wait: timedelta) -> None:
        self.retry_after = max(1, -int(-wait.total_seconds() // 1))
        super().__init__(f"Too many failed attempts. Try again in {self.retry_after} s, or have the password reset.")


class TooBusy(Unavailable):
    """Very many people are signing in just now; try again in a moment."""

    retry_after = 1


class LookerUnknown(Refused):
    """Say who looks: an account's id, or `cli`."""


class ReasonMissing(Refused):
    """Say in 1 to 200 characters why these personal data are looked at."""


class LinkSpent(NotFound):
    """This link was used before, or it is too old. Ask for a new one."""


class SessionUnknown(NotFound):
    """There is no such session of yours."""


class AccountUnknown(NotFound):
    """There is no such account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    id: AccountId
    email: str
    name: str
    roles: tuple[Role, ...]
    locale: str
    password_hash: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Where a request comes from, as far as sessions and limits care. `device` is what the browser's cookie says."""

    address: str
    agent: str
    device: str | None = None
    reference: str | None = None
    locale: str = "ko"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    token: timedelta
    fresh: timedelta
    session: timedelta
    skew: timedelta
    grace: timedelta
    device: timedelta
    reset: timedelta
    invitation: timedelta

    @property
    def revoked(self) -> timedelta:
        """How long after its end a token of a session may still be believed somewhere."""
        return self.token + self.grace + self.skew


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many failures are free; then each next attempt waits, twice as long every time."""

    free: int
    wait: timedelta
    longest: timedelta
    forget: timedelta

    def wait_after(self, failures: int) -> timedelta:
        if failures < self.free:
            return timedelta(0)
        doublings = min(failures - self.free, 30)
        return min(self.wait * (1 << doublings), self.longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What a browser is given: the token, and at sign-in the reference and the device, too."""

    session_id: SessionId
    token: str
    reference: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    kid: str
    public: str
    private: str
    created_at: datetime
    signs_from: datetime


def usable_email(given: str) -> str:
    """In the one form in which it is kept and compared. Raises EmailNotUsable."""
    email = unicodedata.normalize("NFKC", given.strip()).lower()
    if len(email) > 254 or not _EMAIL.fullmatch(email):
        raise EmailNotUsable
    return email


def usable_name(given: str) -> str:
    """In normal form with single blanks. Raises NameNotUsable."""
    if any(unicodedata.category(char) in _UNPRINTABLE for char in given):
        raise NameNotUsable
    name = " ".join(unicodedata.normalize("NFC", given).split())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise NameNotUsable
    return name


def usable_password(given: str, *, email: str) -> str:
    """Raises PasswordNotUsable."""
    if not SHORTEST_PASSWORD <= len(given) <= LONGEST_PASSWORD or "\x00" in given or given.lower() == email:
        raise PasswordNotUsable
    try:
        given.encode()
    except UnicodeEncodeError:
        raise PasswordNotUsable from None
    return given


def account_id_in(text: str) -> AccountId | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    return AccountId(found) if str(found) == text else None


def looker(by: str) -> AccountId | None:
    """None for whoever sits at the machine. Raises LookerUnknown."""
    if by == "cli":
        return None
    found = account_id_in(by)
    if found is None:
        raise LookerUnknown
    return found


def usable_reason(given: str) -> str:
    """Raises ReasonMissing."""
    reason = " ".join(unicodedata.normalize("NFC", given).split())
    if not 1 <= len(reason) <= LONGEST_REASON or any(unicodedata.category(char) in _UNPRINTABLE for char in reason):
        raise ReasonMissing
    return reason


def digest(text: str) -> bytes:
    """What is kept of a secret that has enough randomness of its own."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 user has to himself."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def signing_now(keys: Sequence[SigningKey], *, now: datetime) -> SigningKey | None:
    """The newest key whose notice is over."""
    ready = [key for key in keys if key.signs_from <= now]
    return max(ready, key=lambda key: key.signs_from) if ready else None


def published(keys: Iterable[SigningKey], *, now: datetime, lifetimes: Lifetimes) -> list[SigningKey]:
    """Those that sign, will sign, or have signed a token that may still be alive; the newest first."""
    newest_first = sorted(keys, key=lambda key: key.signs_from, reverse=True)
    kept = []
    successor: SigningKey | None = None
    for key in newest_first:
        if successor is None or successor.signs_from + lifetimes.revoked > now:
            kept.append(key)
        successor = key
    return kept
