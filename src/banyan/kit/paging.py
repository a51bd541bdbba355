"""Keyset pages: a list answers `{"items": [...], "next": cursor or null}`."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Generic, TypeVar

from banyan.kit.errors import Refused

T = TypeVar("T")

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


class CursorNotOurs(Refused):
    """`after` is not a cursor that this list gave out. Take it from `next` of the page before, unchanged."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    next: str | None


def encode_cursor(*key: str | int | None) -> str:
    """An opaque, URL-safe text for the sort key of a page's last row."""
    return base64.urlsafe_b64encode(json.dumps(key, ensure_ascii=False).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *types: type) -> tuple[object, ...]:
    """The sort key again; `types` are what each part must be. Raises CursorNotOurs."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise CursorNotOurs from None
    if not isinstance(key, list) or len(key) != len(types):
        raise CursorNotOurs
    if any(type(part) is not wanted for part, wanted in zip(key, types, strict=True)):
        raise CursorNotOurs
    return tuple(key)
