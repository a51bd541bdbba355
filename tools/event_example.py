"""One envelope of each version of an event, made once and kept: what has been published must be read for ever."""

import dataclasses
import json
import zlib
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints
from uuid import UUID

import msgspec

from banyan.contracts.events import PersonalData
from banyan.messaging import envelope
from banyan.messaging.privacy import Seal
from tools.event_schema import FENCE, Kind

KEY = bytes(range(32))
"""Opens what is sealed in the examples, and nothing else."""

_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_ID = "01a20cc8-8e80-7000-8000-{:012x}"
_SAID = {"slug": "docker-for-teams", "learners": 128, "version": 3}
_IDS = ("account_id", "course_id", "enrolment_id", "lesson_id", "session_id")
_PERSONAL = PersonalData(name="김하늘", email="learner@banyan.test")


def example(event: Kind) -> str:
    """As it is on the bus, personal data sealed with KEY."""
    values = {field.name: _value(field, hint) for field, hint in _fields(event)}
    told = event(**values)
    event_id = UUID(_ID.format(zlib.crc32(event.TYPE.encode())))
    sealed = None
    if FENCE in values:
        seal = Seal(person=values["account_id"], key=KEY)
        sealed = seal.close(msgspec.to_builtins(values[FENCE]), event_id=event_id, kind=event.TYPE)
    whole = envelope.of_row(
        event_id=event_id,
        kind=event.TYPE,
        key=told.key(),
        data=envelope.data_of(told, pii=sealed).decode(),
        at=_AT,
        request_id="7f3a1c0e",
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
    return json.dumps(msgspec.to_builtins(whole), indent=1, ensure_ascii=False) + "\n"


def _fields(event: Kind) -> list[tuple["dataclasses.Field[Any]", Any]]:
    hints = get_type_hints(event)
    return [(field, hints[field.name]) for field in dataclasses.fields(event)]


def _value(field: "dataclasses.Field[Any]", hint: Any) -> Any:
    if field.name in _IDS:
        return _ID.format(_IDS.index(field.name) + 0xA0)
    by_type: dict[Any, Any] = {datetime: _AT, PersonalData: _PERSONAL, str: field.name, int: 1, bool: True}
    return _SAID.get(field.name, next((by_type[kind] for kind in (hint, *get_args(hint)) if kind in by_type), None))
