"""What an event must not be, said in the operation that tells it, before a database or a broker says it.

They are the limits of all brokers together, so that an event that passes on one passes on every other.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

LARGEST = 262_144
"""Bytes of a message as SNS and SQS count them: the whole envelope in UTF-8, and what travels beside it."""

BESIDE = 512
"""Bytes of it that are kept free for what a broker says beside the envelope: type, key, trace."""

_TYPE = re.compile(r"banyan\.[a-z]+\.[a-z0-9]+(-[a-z0-9]+)*\.v[1-9][0-9]*")
_KEY = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,256}")


class EventRefused(ValueError):
    """This cannot be told: it would be lost, refused or misread on its way."""


class EventTooLarge(EventRefused):
    """An event carries ids and a few facts; who needs more asks the owner."""


def check_type(kind: str) -> None:
    if not _TYPE.fullmatch(kind):
        raise EventRefused(f"`type` is {shown(kind)}; it must look like banyan.<context>.<what-happened>.v<number>.")


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def check_key(key: str) -> None:
    if not is_key(key):
        raise EventRefused(f"The key is {shown(key)}; it must be 1-256 characters in one line.")


def check_time(at: datetime) -> None:
    if at.utcoffset() != timedelta():
        raise EventRefused(f"The time {at.isoformat()} is not in UTC; give datetime.now(UTC).")


def size_of(text: bytes) -> int:
    """Bytes that it has on its way. Two characters of UTF-8 are no characters of XML, so AWS gets them escaped."""
    return len(text) + 3 * (text.count(b"\xef\xbf\xbe") + text.count(b"\xef\xbf\xbf"))


def check_size(what: str, size: int) -> None:
    if size > LARGEST - BESIDE:
        raise EventTooLarge(
            f"{what} would be {size:,} bytes with its envelope; {LARGEST - BESIDE:,} are allowed, because SNS and SQS "
            "take no more. Tell ids and a few facts; who needs more asks the owner."
        )


def as_json(fields: dict[str, Any]) -> bytes:
    """Refuses by name what UTF-8 or PostgreSQL cannot hold."""
    try:
        encoded = msgspec.json.encode(fields)
    except UnicodeEncodeError:
        where = _where(msgspec.to_builtins(fields), _is_torn)
        raise EventRefused(f"`{where}` holds half of a surrogate pair, which is no text.") from None
    check_text(encoded, fields)
    return encoded


def check_text(encoded: bytes, decoded: object) -> None:
    """PostgreSQL keeps no NUL in a text. The bytes are asked first, because that costs next to nothing."""
    if b"\\u0000" in encoded and (where := _where(msgspec.to_builtins(decoded), _has_nul)) is not None:
        raise EventRefused(f"`{where}` holds a NUL character, which PostgreSQL cannot store.")


def shown(text: str) -> str:
    """A stranger's text, short and harmless, for a message."""
    return ascii(text if len(text) <= 60 else text[:60] + "...")


def _is_torn(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _has_nul(text: str) -> bool:
    return "\0" in text


def _where(value: Any, wrong: Callable[[str], bool], path: str = "") -> str | None:
    """Where in it a text is wrong: `pii.name`, `tags.2`."""
    if isinstance(value, str):
        return path if wrong(value) else None
    if isinstance(value, dict):
        if any(wrong(name) for name in value):
            return path or "a field's name"
        parts = list(value.items())
    elif isinstance(value, list):
        parts = [(str(number), part) for number, part in enumerate(value)]
    else:
        return None
    found = (_where(part, wrong, f"{path}.{name}" if path else name) for name, part in parts)
    return next((where for where in found if where is not None), None)
