"""What `iam` takes and answers."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    email: str
    password: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    email: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Me:
    id: str
    email: str
    name: str
    roles: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One of an account's sessions; `current` is the one that asks."""

    id: str
    created_at: datetime
    last_seen_at: datetime
    device: str
    address: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionList:
    items: list[Session]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A password: the present one for what cannot be undone, the new one behind a mailed link."""

    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChange:
    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetRequest:
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    """`token` is the one from the mailed link."""

    token: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A JSON Web Key Set as text (public keys only), for Envoy and for the services."""

    jwks: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedSessions:
    """Ids of sessions that were ended while a token of theirs may still be valid."""

    items: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    account_id: str
    erased_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureList:
    """The oldest first."""

    items: list[Erasure]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """As services copy it. `told_at` is when the last event about them happened; an erased one has no name and no
    address."""

    id: str
    name: str
    email: str
    erased: bool
    told_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonPage:
    """In the order of ids; `next` is an id."""

    items: list[Person]
    next: str | None = None
    total: int = 0
