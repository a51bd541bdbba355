"""What came from a queue, as an event of ours; or why it is none."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from banyan.contracts.messaging import DeadState
from banyan.messaging import envelope
from banyan.messaging.broker import Delivery
from banyan.messaging.consumers import reasons
from banyan.messaging.consumers.consumer import Handler
from banyan.messaging.envelope import Envelope
from banyan.messaging.letters.writing import Letter

_SHOWN_TYPE = 200


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery that is an event which its consumer knows."""

    delivery: Delivery
    envelope: Envelope
    id: UUID
    handler: Handler

    @property
    def key(self) -> str:
        return self.envelope.subject

    def letter(self, state: DeadState, attempts: int, error: str = "", traceback: str = "") -> Letter:
        return Letter(
            event_id=self.id,
            key=self.key,
            type=self.envelope.type,
            body=self.delivery.body,
            state=state,
            attempts=attempts,
            error=error,
            traceback=traceback,
        )


class Unreadable(Exception):
    """No further try makes a difference; `letter` says why."""

    def __init__(self, letter: Letter) -> None:
        super().__init__(letter.error)
        self.letter = letter


def read(
    delivery: Delivery, kinds: Mapping[str, Handler], *, horizon: float | None, forgotten_to: UUID | None = None
) -> Told:
    """Raises Unreadable for what is no event, of an unknown type, older than `horizon` seconds or below the id
    `forgotten_to`."""
    try:
        told = envelope.decode(delivery.body)
    except msgspec.DecodeError as fault:
        raise Unreadable(_malformed(delivery, str(fault))) from None
    event_id = UUID(told.id)
    handler = kinds.get(told.type)
    if handler is None:
        raise Unreadable(_letter(delivery, told, event_id, DeadState.UNKNOWN, _unknown(told.type, kinds)))
    age = _age(event_id, told)
    if horizon is not None and age > timedelta(seconds=horizon):
        raise Unreadable(_too_old(delivery, told, event_id, age, f"for {horizon / 86_400:g} days only"))
    if forgotten_to is not None and event_id < forgotten_to:
        since = datetime.fromtimestamp((forgotten_to.int >> 80) / 1000, UTC)
        raise Unreadable(_too_old(delivery, told, event_id, age, f"since {since:%Y-%m-%d} only"))
    return Told(delivery, told, event_id, handler)


def misfit(told: Told, fault: Exception) -> Unreadable:
    """Its data are not what its type promises."""
    return Unreadable(told.letter(DeadState.MALFORMED, 0, reasons.text(f"{told.envelope.type}: {fault}", 1000)))


def _malformed(delivery: Delivery, why: str) -> Letter:
    event_id, key, kind = _found(delivery.body)
    return Letter(
        # The same bytes are the same letter, however often they come.
        event_id=event_id or UUID(bytes=hashlib.sha256(delivery.body).digest()[:16], version=5),
        key=reasons.text(delivery.key or key, 512),
        type=reasons.text(kind, _SHOWN_TYPE),
        body=delivery.body,
        state=DeadState.MALFORMED,
        attempts=0,
        error=reasons.text(f"It is no event: {why}", reasons.LONGEST_ERROR),
    )


def _found(body: bytes) -> tuple[UUID | None, str, str]:
    """(id, key, type) of what is nearly an event, so that it is known by its own."""
    try:
        whole = msgspec.json.decode(body)
        kind, key = str(whole.get("type", "")), str(whole.get("subject", ""))
    except (msgspec.DecodeError, RecursionError, UnicodeError, AttributeError):
        return None, "", ""
    try:
        return UUID(str(whole.get("id", ""))), key, kind
    except ValueError:
        return None, key, kind


def _letter(delivery: Delivery, told: Envelope, event_id: UUID, state: DeadState, error: str) -> Letter:
    return Letter(
        event_id=event_id,
        key=told.subject,
        type=told.type,
        body=delivery.body,
        state=state,
        attempts=0,
        error=error,
    )


def _too_old(delivery: Delivery, told: Envelope, event_id: UUID, age: timedelta, how_long: str) -> Letter:
    said = f"It is {age.days} days old. This consumer remembers what it has handled {how_long}, so it may have handled "
    said += "this; redrive it if it has not, discard it if it has."
    return _letter(delivery, told, event_id, DeadState.FAILED, said)


def _unknown(kind: str, kinds: Mapping[str, Handler]) -> str:
    versions = sorted(known for known in kinds if envelope.name_of(known) == envelope.name_of(kind))
    if versions:
        return f"{kind} is a version that this consumer does not know; it knows {', '.join(versions)}."
    return f"{kind} is a type that this consumer does not know."


def _age(event_id: UUID, told: Envelope) -> timedelta:
    """By the id, because that is when it was made; `time` is when it happened."""
    if event_id.version == 7:  # RFC 9562's number
        # Reckoned in milliseconds: what anybody may write there is more than a datetime can be.
        return timedelta(milliseconds=int(datetime.now(UTC).timestamp() * 1000) - (event_id.int >> 80))
    return datetime.now(UTC) - told.time
