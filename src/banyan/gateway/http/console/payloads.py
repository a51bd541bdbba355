"""What an event carries, set out to be read. Keys, texts and bodies were written by anybody: nothing in them is
trusted, and what cannot be seen is spelt out."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from banyan.contracts.messaging import MASK, StoredEvent

LONGEST = 20_000
SHORT = 2_000
_LINE = 120
_DEEPEST = 20
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_UNSEEN = ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")

Kind = Literal["text", "masked", "erased", "personal"]


@dataclass(frozen=True, slots=True)
class Piece:
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Read:
    """A body that came: `pieces` if it was JSON, `text` as it came if not."""

    pieces: list[Piece] | None
    text: str
    request_id: str = ""
    trace_id: str = ""


def plain(text: str, longest: int = LONGEST) -> str:
    """The text with whatever would not be seen, or would turn the rest around, spelt out."""
    shown = "".join(
        f"\\u{ord(sign):04x}" if unicodedata.category(sign) in _UNSEEN and sign not in "\n\t" else sign
        for sign in text[:longest]
    )
    return shown + "…" if len(text) > longest else shown


def short_type(kind: str) -> str:
    """`student-enrolled.v1` of `banyan.learning.student-enrolled.v1`; as it came where it is no type of ours."""
    parts = kind.split(".", 2)
    return parts[2] if len(parts) == 3 and parts[0] == "banyan" else kind


def first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def in_a_line(event: StoredEvent) -> str:
    """The payload but for its key and its personal data, short."""
    told = {name: value for name, value in event.data.items() if name not in ("pii", "at") and value != event.key}
    return plain(msgspec.json.encode(told).decode()[1:-1], _LINE) if told else "" if "pii" in event.data else "{}"


def pieces(data: Any, *, unmasked: bool = False, longest: int = LONGEST) -> list[Piece]:
    """JSON over several lines; personal data are pieces of their own."""
    joined: list[Piece] = []
    left = longest
    for piece in _pieces(data, depth=0, personal=False, unmasked=unmasked):
        if left <= 0:
            return [*joined, Piece("text", "…")]
        left -= len(piece.text)
        follows = joined and piece.kind == joined[-1].kind == "text"
        joined.append(Piece("text", joined.pop().text + piece.text) if follows else piece)
    return joined


def body(text: str) -> Read:
    """An envelope, or what came instead of one."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        return Read(None, plain(text))
    if not isinstance(found, dict):
        return Read(None, plain(text))
    request_id, traceparent = found.get("requestid"), found.get("traceparent")
    return Read(
        pieces(found),
        "",
        request_id=request_id[:200] if isinstance(request_id, str) else "",
        trace_id=_trace_id(traceparent if isinstance(traceparent, str) else ""),
    )


def trace_id(event: StoredEvent) -> str:
    """The trace that it happened in; empty for none."""
    return _trace_id(event.traceparent or "")


def has_personal_data(event: StoredEvent) -> bool:
    """Some that is not erased."""
    fenced = event.data.get("pii")
    return isinstance(fenced, dict) and any(value is not None for value in fenced.values())


def _trace_id(traceparent: str) -> str:
    found = _TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else ""


def _pieces(data: Any, *, depth: int, personal: bool, unmasked: bool) -> Iterator[Piece]:
    if isinstance(data, dict | list) and depth < _DEEPEST:
        yield from _inside(data, depth=depth, personal=personal, unmasked=unmasked)
    elif personal and data is None:
        yield Piece("erased", "")
    elif personal:
        yield Piece("personal" if unmasked and data != MASK else "masked", _json(data) if unmasked else "")
    else:
        yield Piece("text", _json(data))


def _inside(data: dict[str, Any] | list[Any], *, depth: int, personal: bool, unmasked: bool) -> Iterator[Piece]:
    opened, closed = ("{", "}") if isinstance(data, dict) else ("[", "]")
    inner, outer = "\n" + "  " * (depth + 1), "\n" + "  " * depth
    yield Piece("text", opened)
    for number, (name, value) in enumerate(data.items() if isinstance(data, dict) else ((None, one) for one in data)):
        named = "" if name is None else f"{_json(str(name))}: "
        yield Piece("text", f"{',' if number else ''}{inner}{named}")
        fenced = personal or (name == "pii" and isinstance(value, dict))
        yield from _pieces(value, depth=depth + 1, personal=fenced, unmasked=unmasked)
    yield Piece("text", f"{outer if data else ''}{closed}")


def _json(data: Any) -> str:
    return plain(msgspec.json.encode(data).decode())
