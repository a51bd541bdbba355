"""An event on its way: a CloudEvents 1.0 object in structured JSON.

What goes out is checked where it is written down (`check`, `check_size`), what comes in where it is read (`decode`).
"""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, get_args
from uuid import UUID

import msgspec

from banyan.contracts.events import Event
from banyan.messaging import limits
from banyan.messaging.limits import LARGEST, EventRefused, EventTooLarge

__all__ = ["LARGEST", "TYPES", "Envelope", "EventRefused", "EventTooLarge"]

TYPES: dict[str, type[Event]] = {event.TYPE: event for event in get_args(Event)}

EventT = TypeVar("EventT", bound=Event)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is the context that tells; `subject` is the key that order is kept by."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    datacontenttype: Literal["application/json"] = "application/json"
    requestid: str | None = None
    traceparent: str | None = None
    data: dict[str, Any]


def source_of(event_type: str) -> str:
    """`banyan.learning.student-enrolled.v1` is told by `learning`."""
    return event_type.split(".")[1]


def name_of(event_type: str) -> str:
    """The type without its version."""
    return event_type.rpartition(".")[0]


def check(event: Event) -> None:
    """Raises EventRefused for what would be lost, refused or misread on its way."""
    kind = type(event)
    if TYPES.get(event.TYPE) is not kind:
        raise EventRefused(f"{kind.__name__} is not in `Event` of banyan/contracts/events.py, so nobody knows it.")
    limits.check_key(event.key())
    limits.check_time(event.at)
    try:
        _FIELDS[event.TYPE].decode(limits.as_json(_fields(event)))
    except msgspec.ValidationError as fault:
        raise EventRefused(f"{kind.__name__} is not what it says: {fault}") from None


def data_of(event: Event, *, pii: Mapping[str, str] | None = None) -> bytes:
    """The event's fields as JSON, with `pii` in the place of its personal data where it is given."""
    fields = _fields(event)
    if pii is not None:
        fields["pii"] = pii
    return msgspec.json.encode(fields)


def check_size(event: Event, data: str, request_id: str | None) -> None:
    """Raises EventTooLarge for what some broker would refuse, whatever else is in its envelope."""
    around = _AROUND + len(event.key()) + len((request_id or "").encode())
    limits.check_size(f"{event.TYPE} of {event.key()}", limits.size_of(data.encode()) + around)


def of_row(
    *,
    event_id: UUID,
    kind: str,
    key: str,
    data: str,
    at: datetime,
    request_id: str | None,
    traceparent: str | None = None,
) -> Envelope:
    """The envelope of an event as the store has it. `traceparent` is CloudEvents' own extension for traces."""
    return Envelope(
        id=str(event_id),
        source=source_of(kind),
        type=kind,
        subject=key,
        time=at,
        requestid=request_id,
        traceparent=traceparent,
        data=msgspec.json.decode(data),
    )


def event_in(envelope: Envelope, kind: type[EventT]) -> EventT:
    """The event itself. Raises msgspec.ValidationError where the data do not fit."""
    return msgspec.convert(envelope.data, kind)


def encode(envelope: Envelope) -> bytes:
    return msgspec.json.encode(envelope)


def decode(encoded: bytes | str) -> Envelope:
    """Raises msgspec.DecodeError, or its ValidationError, for what is no CloudEvents object of ours."""
    try:
        whole = encoded.encode() if isinstance(encoded, str) else encoded
        _VERSION.decode(whole)
        told = _DECODER.decode(whole)
        _check(told, whole)
    except (EventRefused, UnicodeError) as fault:
        raise msgspec.ValidationError(str(fault)) from None
    except RecursionError:
        raise msgspec.ValidationError("It is nested too deeply to be an event.") from None
    return told


def _check(told: Envelope, whole: bytes) -> None:
    if len(whole) > LARGEST:
        raise EventTooLarge(f"It has {len(whole):,} bytes; {LARGEST:,} are the most that any broker takes.")
    try:
        UUID(told.id)
    except ValueError:
        raise EventRefused(f"`id` is {limits.shown(told.id)}; it must be a UUID.") from None
    limits.check_type(told.type)
    if told.source != source_of(told.type):
        raise EventRefused(
            f"`source` is {limits.shown(told.source)}, but {told.type} is told by {source_of(told.type)}."
        )
    limits.check_key(told.subject)
    limits.check_time(told.time)
    limits.check_text(whole, told.data)


def _fields(event: Event) -> dict[str, Any]:
    return {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}


class _Version(msgspec.Struct):
    """CloudEvents demands it; the default of Envelope is for who makes one."""

    specversion: Literal["1.0"]


_AROUND = 448  # bytes of an envelope beside its data, key and request id, with the longest type and a trace
_VERSION = msgspec.json.Decoder(_Version)
_DECODER = msgspec.json.Decoder(Envelope)
_FIELDS: dict[str, msgspec.json.Decoder[Event]] = {name: msgspec.json.Decoder(kind) for name, kind in TYPES.items()}
