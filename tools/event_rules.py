"""What `contracts/events.py` may hold: data, named by what happened, and personal data behind one fence.

The incidents these prevent: an event that a typist called by a command, a mutable one that a handler changed for the
next handler, and a name in an event of a context from which nobody can be erased.
"""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

from tools.event_schema import EVENTS, FENCE, Kind

SOURCE = Path(__file__).parents[1] / "src/banyan/contracts/events.py"
KEEPER = "iam"
"""The only context whose events carry personal data, because it holds the keys that erase them."""

_TYPE = re.compile(r"banyan\.(?P<source>[a-z]+)\.(?P<name>[a-z]+(-[a-z]+)*)\.v(?P<version>[1-9][0-9]*)")
_PLAIN = (str, int, bool, datetime, type(None))
_PAST = re.compile(
    ".+ed|begun|bought|broken|brought|built|chosen|drawn|felt|found|given|gone|held|hidden|kept|left|lost|made|met|paid|"
    "put|read|run|said|seen|sent|set|shown|sold|sought|spent|split|taken|taught|told|withdrawn|won|written"
)
_PERSONAL = re.compile(
    "address|birth(day|date|place)?|city|e?mail|gender|ip|(first|full|last|nick|sur|user)?name|(tele)?phone|mobile|"
    "passport|postcode|ssn|street|zip"
)


def faults(source: Path = SOURCE, events: Sequence[Kind] = EVENTS) -> list[str]:
    found = [*_not_data(ast.parse(source.read_bytes()), {event.__name__ for event in events})]
    for event in events:
        found += [f"{event.__name__}: {fault}" for fault in (*_form(event), *_type(event), *_fields(event))]
    return [f"contracts/events.py: {fault}" for fault in found]


def _not_data(tree: ast.Module, listed: set[str]) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.ClassDef():
                yield from _more_than_fields(node)
                if node.name not in listed and any(isinstance(part, ast.FunctionDef) for part in node.body):
                    yield f"{node.name}: it is not in `Event`, so nobody can hear of it"
            case ast.Import() | ast.ImportFrom() | ast.AnnAssign(value=ast.BinOp() | ast.Name()):
                pass
            case ast.Expr(value=ast.Constant()):
                pass
            case _:
                yield f"line {node.lineno}: only imports, dataclasses and `Event`; this module is data"


def _more_than_fields(node: ast.ClassDef) -> Iterator[str]:
    for part in node.body:
        match part:
            case ast.AnnAssign() | ast.Expr(value=ast.Constant()):
                pass
            case ast.FunctionDef(name="key", body=[ast.Return(value=ast.Attribute(value=ast.Name(id="self")))]):
                pass
            case _:
                yield f"{node.name}, line {part.lineno}: only fields, and a key() that returns one of them"


def _form(event: Kind) -> Iterator[str]:
    made = event.__dataclass_params__
    if not made.frozen or not hasattr(event, "__slots__"):
        yield "must be frozen and have slots; what has happened does not change"
    if any(not field.kw_only for field in dataclasses.fields(event)):
        yield "must be keyword-only, so that fields can be added"
    if any(field.default_factory is not dataclasses.MISSING for field in dataclasses.fields(event)):
        yield "a default is a plain value, because it is what old events are read with"
    if not inspect.isfunction(getattr(event, "key", None)):
        yield "needs a key(): the id of the aggregate that order is kept by"


def _type(event: Kind) -> Iterator[str]:
    found = _TYPE.fullmatch(event.TYPE)
    if found is None:
        yield f"TYPE is `{event.TYPE}`; it must be banyan.<context>.<what-happened>.v<number>"
        return
    version = int(found["version"])
    named = "".join(word.capitalize() for word in found["name"].split("-")) + (f"V{version}" if version > 1 else "")
    if event.__name__ != named:
        yield f"TYPE is `{event.TYPE}`, so the class is called {named}"
    if not _PAST.fullmatch(found["name"].rpartition("-")[2]):
        yield f"`{found['name']}` does not end in the past tense: an event is what has happened, not what shall"


def _fields(event: Kind) -> Iterator[str]:
    hints = get_type_hints(event)
    source = event.TYPE.split(".")[1] if event.TYPE.count(".") > 1 else ""
    if hints.get("at") is not datetime:
        yield "needs `at: datetime`, when it happened"
    for field in dataclasses.fields(event):
        if field.name == FENCE:
            if source != KEEPER:
                yield f"only {KEEPER}'s events have `{FENCE}`; carry the id, and keep a copy of what {KEEPER} tells"
            continue
        if words := [word for word in field.name.split("_") if _PERSONAL.fullmatch(word)]:
            yield f"`{field.name}` looks personal ({', '.join(words)}); that stands in `{FENCE}`, in {KEEPER}'s events"
        if not _is_plain(hints[field.name]):
            yield f"`{field.name}` is no plain value: a str, int, bool or datetime, maybe None, or a tuple of such"


def _is_plain(hint: Any) -> bool:
    return hint in _PLAIN or (
        bool(get_args(hint)) and all(part in (*_PLAIN, Ellipsis) or _is_plain(part) for part in get_args(hint))
    )
