"""`docs/events.md`: every event with its fields, who tells it and who hears of it."""

import dataclasses
import inspect
from typing import get_args, get_type_hints

from banyan.contracts.events import Event, PersonalData
from banyan.messaging import envelope
from banyan.messaging.subscriptions import SUBSCRIPTIONS


def page() -> str:
    lines = [
        "# Events",
        "",
        "Generated from `src/banyan/contracts/events.py` and `src/banyan/messaging/subscriptions.py`; `make fresh`",
        "writes it anew. Each event is a CloudEvents 1.0 object: `type` as below, `source` the context that tells it,",
        "`subject` the key that order is kept by, `data` the fields. `guides/add-a-consumer.md` shows how to hear",
        "of one.",
        "",
    ]
    for event in sorted(get_args(Event), key=lambda event: event.TYPE):
        lines += [f"## `{event.TYPE}`", "", *_about(event), "", *_fields(event), ""]
    return "\n".join(lines)


def _about(event: type[Event]) -> list[str]:
    said = inspect.cleandoc(event.__doc__ or "")
    heard = [subscription.consumer for subscription in SUBSCRIPTIONS if event in subscription.events]
    by = ", ".join(f"`{consumer}`" for consumer in heard) or "nobody yet"
    told = f"`{event.__name__}`, told by `{envelope.source_of(event.TYPE)}`, keyed by `{_key(event)}`. Heard by {by}."
    return [*([said, ""] if said and not said.startswith(f"{event.__name__}(") else []), told]


def _key(event: type[Event]) -> str:
    """The field that `key()` answers, found by asking an event whose fields hold their own names."""
    probe = object.__new__(event)
    for field in dataclasses.fields(event):
        object.__setattr__(probe, field.name, field.name)
    return probe.key()


def _fields(event: type[Event]) -> list[str]:
    rows = ["| field | type |", "|---|---|"]
    for name, kind in get_type_hints(event).items():
        if name == "TYPE":
            continue
        if kind is PersonalData:
            inner = ", ".join(field.name for field in dataclasses.fields(PersonalData))
            rows.append(f"| `{name}` | personal data: {inner} |")
        else:
            rows.append(f"| `{name}` | `{kind.__name__ if isinstance(kind, type) else kind}` |")
    return rows
