"""What a version of an event is, as JSON Schema of its `data` on the wire, and what one looks like."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, get_args, get_type_hints

import msgspec

from banyan.contracts.events import Event

Schema = dict[str, Any]
Kind = type[Any]

EVENTS: tuple[Kind, ...] = tuple(sorted(get_args(Event), key=lambda event: event.TYPE))
FENCE = "pii"
SEALED: Schema = {
    "title": "Sealed",
    "description": "Personal data, sealed with a key of the person's that only iam gives out, and destroys on erasure.",
    "type": "object",
    "properties": {
        "person": {"type": "string", "description": "The account whose data and whose key it is."},
        "sealed": {"type": "string", "description": "base64url of nonce and AES-256-GCM, bound to event id and type."},
    },
    "required": ["person", "sealed"],
}


def schema(event: Kind) -> Schema:
    """Of `data`. What stands in the fence once it is opened is under `x-opened`."""
    whole = _of_class(event)
    if dataclasses.is_dataclass(inside := get_type_hints(event).get(FENCE)):
        opened = _of_class(inside)
        whole["properties"][FENCE] = {**SEALED, "x-opened": opened}
    return {"x-type": event.TYPE, "x-source": event.TYPE.split(".")[1], "x-key": key_of(event), **whole}


def key_of(event: Kind) -> str:
    """The field that `key()` answers, found by asking an event whose fields hold their own names."""
    probe = object.__new__(event)
    for field in dataclasses.fields(event):
        object.__setattr__(probe, field.name, field.name)
    return str(probe.key())


def text(document: Schema) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def of_type(events: Sequence[Kind], kind: str) -> Kind | None:
    return next((event for event in events if kind == event.TYPE), None)


def _of_class(kind: Kind) -> Schema:
    _, parts = msgspec.json.schema_components([kind], ref_template="{name}")
    found: Schema = parts[kind.__name__]
    for name, hint in get_type_hints(kind).items():
        if name in found["properties"] and datetime in (hint, *get_args(hint)):
            _date_time(found["properties"][name])
    return found


def _date_time(shape: Schema) -> None:
    """msgspec says `string` of a datetime without a time zone in its type."""
    for one in shape.get("anyOf", [shape]):
        if one.get("type") == "string":
            one["format"] = "date-time"
