"""What each context's process tells of its events: its store, its consumers, what they could not handle, and what is
under way. Asked on the process's own socket, under `/internal/messaging`; the command line and the console ask.

Times are UTC. Personal data are masked unless a right was held and the look was written down.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

MASK = "***"
MOST_PERSONS = 100
DEFAULT_RATE = 1_000
HIGHEST_RATE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """`position` is the order of a key. `data` has MASK for each field of `pii` unless `unmasked`; None for each of an
    erased person. `archived` is one that was read from the archive."""

    id: str
    type: str
    source: str
    key: str
    at: datetime
    position: int
    request_id: str | None
    traceparent: str | None
    data: dict[str, Any]
    unmasked: bool = False
    archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasking:
    """A look at an event's personal data: by whom (an account's id, or `cli`) and why. It is written down."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Newest first. `next` is an event's id, or None; `searched_to` is how far back it was looked when a page is short
    because a search only goes so far at a time."""

    items: list[StoredEvent]
    next: str | None = None
    searched_to: datetime | None = None


class DeadState(StrEnum):
    FAILED = "failed"  # handled too often in vain
    UNKNOWN = "unknown"  # a type or version that the consumer does not know yet; goes on by itself when it does
    MALFORMED = "malformed"  # no event at all
    PARKED = "parked"  # nothing is wrong with it, but something before it of the same key waits


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """`behind` is how many of the key are parked after it. `redriving`: somebody asked for another try, which comes
    as soon as the consumer runs."""

    id: int
    consumer: str
    key: str
    event_id: str
    type: str
    state: DeadState
    attempts: int
    error: str
    at: datetime
    behind: int = 0
    redriving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeDeadLetter:
    """`body` is the envelope with its personal data masked, or what came instead of one, as text and shortened."""

    letter: DeadLetter
    traceback: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadPage:
    """Oldest first; what is parked stands behind what it waits for. `next` is an id, or None."""

    items: list[DeadLetter]
    next: str | None = None
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadChoice:
    """One letter by its id (and with it its key), all of a consumer, or all of this context."""

    id: int | None = None
    consumer: str | None = None
    all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadOutcome:
    """How many letters will be tried again, or are gone; `keys` of them."""

    letters: int
    keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerNow:
    """`waiting` and `oldest_seconds` are its queue's, None where the broker did not say; `dead` counts letters that are
    at fault themselves, `parked` those behind them. `rate` is events handled in a second of the last ten."""

    name: str
    source: str
    broker: str
    waiting: int | None
    oldest_seconds: float | None
    in_flight: int
    rate: float
    failing: int
    dead: int
    parked: int
    paused_at: datetime | None = None
    paused_by: str = ""
    rebuilding: bool = False
    handles: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxNow:
    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MessagingNow:
    """`outbox` is None for a context that tells of nothing; `days` are the store's partitions, oldest first."""

    context: str
    consumers: list[ConsumerNow]
    outbox: OutboxNow | None = None
    days: list[str] = field(default_factory=list)
    archived_days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayWish:
    """At least one of the filters, or `all`. `types` without a version mean every version. `consumer`: for it alone.
    Inboxes are honoured: who has handled an event does not handle it again."""

    types: list[str] = field(default_factory=list)
    key: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    consumer: str | None = None
    all: bool = False
    dry_run: bool = False
    rate: int = DEFAULT_RATE
    asked_by: str = ""


class WorkState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """`id` is empty for a dry run, which only counts."""

    id: str
    source: str
    state: WorkState
    total: int
    done: int
    rate: int
    consumer: str | None
    started_at: datetime
    ended_at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayList:
    items: list[Replay]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuild:
    """`total` 0: not known. Readers see the old state until it is done, then the new one."""

    id: str
    consumer: str
    state: WorkState
    total: int
    done: int
    started_at: datetime
    ended_at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildList:
    items: list[Rebuild]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsAsked:
    """Whose keys a service asks iam for: account ids, at most MOST_PERSONS."""

    persons: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonKey:
    """`key` is 32 bytes as unpadded base64url; None: the person was erased, or never was."""

    person: str
    key: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonKeys:
    items: list[PersonKey]
