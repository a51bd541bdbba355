"""`docs/events/`: each version of an event as it was published, and what in a new one would break who reads the old.

Events lie in stores, queues and archives for longer than any program that wrote or reads them. So a version only grows
by fields that need not be there; everything else is a new version.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tools import event_schema
from tools.event_example import example
from tools.event_schema import EVENTS, Kind, Schema

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "docs/events"
_OPENED = "x-opened"
_APART = {"title", "description", "default", _OPENED}


def files(events: Sequence[Kind] = EVENTS, folder: Path = GOLDEN) -> dict[Path, str]:
    """The schema of each version, and its example: that is made when a version is new, and then kept as it is."""
    found = {}
    for event in events:
        found[folder / f"{event.TYPE}.json"] = event_schema.text(event_schema.schema(event))
        kept = folder / "examples" / f"{event.TYPE}.json"
        found[kept] = kept.read_text(encoding="utf-8") if kept.exists() else example(event)
    return found


def gone(events: Sequence[Kind] = EVENTS, folder: Path = GOLDEN) -> list[Path]:
    """Files of versions that the contracts no longer have."""
    known = {event.TYPE for event in events}
    return [path for path in sorted(folder.glob("**/*.json")) if _type_of(path) not in known]


def faults(events: Sequence[Kind] = EVENTS, folder: Path = GOLDEN) -> list[str]:
    """What would break, in sentences, and how it is done instead."""
    found = []
    for path in sorted(folder.glob("*.json")):
        old = json.loads(path.read_text(encoding="utf-8"))
        event = event_schema.of_type(events, old["x-type"])
        changes = _gone_or_renamed(old, events) if event is None else breaking(old, event_schema.schema(event))
        if changes:
            found += [f"docs/events/{path.name}: {change}" for change in changes]
            found.append(advice(old))
    return found


def breaking(old: Schema, new: Schema) -> list[str]:
    """Sentences for what a reader of `old` would miss in `new`, or what in `old` no longer fits `new`."""
    changes = [
        f"the event's {what} was `{old.get(name)}` and is `{new.get(name)}`"
        for name, what in (("x-key", "key"), ("x-source", "source"), ("title", "class"))
        if old.get(name) != new.get(name)
    ]
    return changes + _fields(old, new, "")


def advice(old: Schema) -> str:
    """How a version is followed by the next."""
    kind, title = str(old["x-type"]), str(old["title"])
    stem, _, version = kind.rpartition(".v")
    number = int(version) + 1
    following = f"{title.removesuffix(f'V{version}')}V{number}"
    heard = [one.consumer for one in SUBSCRIPTIONS if kind in {event.TYPE for event in one.events}]
    first = (
        f"Consumers first: {', '.join(heard)} gets" if heard else "Consumers first: nobody hears it yet; else each gets"
    )
    return (
        f"A published version never changes: stores, queues and archives are full of it. Add a V{number} instead:\n"
        f"  1. Put {title} back as it was. Beside it add {following} with TYPE {stem}.v{number}, and add it to `Event`;"
        " then `make fresh`.\n"
        f"  2. {first} `on({following}, ...)` and the class in subscriptions.py, beside {title}. Deploy.\n"
        f"  3. Then the publisher: outbox.add(tx, {following}(...)) in the place of {title}. Deploy.\n"
        f"  4. {title} stays, with docs/events/{kind}.json, until the last of it has left the store"
        " (BANYAN_EVENT_RETENTION_DAYS) and no archive of it will be read. Then delete the class, its handlers and its"
        " subscriptions, and: .venv/bin/python -m tools.generate --allow-breaking\n"
        "docs/guides/change-an-event.md walks through it."
    )


def _type_of(path: Path) -> str:
    """`banyan.iam.account-erased.v1.unsealed.json` is of `banyan.iam.account-erased.v1`."""
    return ".".join(path.name.split(".")[:4])


def _gone_or_renamed(old: Schema, events: Sequence[Kind]) -> list[str]:
    now = next((event.TYPE for event in events if event.__name__ == old["title"]), None)
    if now is None:
        return [f"the event is gone; {old['title']} is not in `Event` of banyan/contracts/events.py"]
    return [f"the TYPE of {old['title']} was `{old['x-type']}` and is `{now}`"]


def _fields(old: Schema, new: Schema, inside: str) -> list[str]:
    before: Mapping[str, Any] = old.get("properties", {})
    after: Mapping[str, Any] = new.get("properties", {})
    found = []
    for name, shape in before.items():
        field = f"`{inside}{name}`"
        if name not in after:
            found.append(f"the field {field} is gone")
            continue
        if _bare(shape) != _bare(after[name]) or _default_changed(shape, after[name]):
            found.append(f"the field {field} was {_said(shape)} and is {_said(after[name])}")
        if _OPENED in shape and _OPENED in after[name]:
            found += _fields(shape[_OPENED], after[name][_OPENED], f"{inside}{name}.")
    required, was_required = set(new.get("required", ())), set(old.get("required", ()))
    for name in after:
        field = f"`{inside}{name}`"
        if name not in before and name in required:
            found.append(f"the field {field} is new and has no default, so old events do not have it")
        elif name in before and name in required and name not in was_required:
            found.append(f"the field {field} had a default and has none, so old events may not have it")
    return found


def _bare(shape: Any) -> Any:
    """Without words and defaults, and without what is in the fence, which is compared by itself."""
    if isinstance(shape, list):
        return [_bare(part) for part in shape]
    if not isinstance(shape, dict):
        return shape
    named = {name: part for name, part in shape.items() if name not in _APART and name != "properties"}
    inner = {name: _bare(part) for name, part in shape.get("properties", {}).items()}
    return {**{name: _bare(part) for name, part in named.items()}, "inner": inner, "fenced": _OPENED in shape}


def _default_changed(old: Schema, new: Schema) -> bool:
    """What a default is, that is what events say that are older than their field."""
    return "default" in old and "default" in new and old["default"] != new["default"]


def _said(shape: Schema) -> str:
    if _OPENED in shape:
        return "personal data in the fence"
    kinds = [str(one.get("format", one.get("type", one))) for one in shape.get("anyOf", [shape])]
    default = f" by default {json.dumps(shape['default'], ensure_ascii=False)}" if "default" in shape else ""
    return f"{' or '.join(kinds)}{default}"
