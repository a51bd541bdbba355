"""An event on its way: a CloudEvents 1.0 object in structured JSON."""

import dataclasses
from datetime import datetime
from typing import Any, Literal, TypeVar, get_args
from uuid import UUID

import msgspec

from banyan.contracts.events import Event

LARGEST = 256 * 1024  # bytes of `data`; more than a broker outside may take, and no event needs it

TYPES: dict[str, type[Event]] = {event.TYPE: event for event in get_args(Event)}

EventT = TypeVar("EventT", bound=Event)


class EventTooLarge(ValueError):
    """An event carries ids and a few facts; who needs more asks the owner."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """`source` is the context that tells; `subject` is the key that order is kept by."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
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


def data_of(event: Event) -> bytes:
    """The event's fields as JSON. Raises EventTooLarge."""
    encoded = msgspec.json.encode({field.name: getattr(event, field.name) for field in dataclasses.fields(event)})
    if len(encoded) > LARGEST:
        raise EventTooLarge(f"{event.TYPE} of {event.key()} has {len(encoded)} bytes; {LARGEST} are allowed.")
    return encoded


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
    """Raises msgspec.DecodeError or its ValidationError for what is no CloudEvents object of ours."""
    return _DECODER.decode(encoded)


_DECODER = msgspec.json.Decoder(Envelope)
