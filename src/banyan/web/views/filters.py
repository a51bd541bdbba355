"""What a visitor asked of the course list, as it stands in the address."""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from urllib.parse import urlencode

from banyan.web.views import words

LIST = "/courses"

_CODES: dict[str, Mapping[str, str]] = {
    "language": words.LANGUAGES,
    "level": words.LEVELS,
    "price": words.PRICES,
    "sort": words.SORTS,
}
_LONGEST_TEXT = 100
_LONGEST_CURSOR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """An empty text leaves a question open. Their order is the order in an address and on the page."""

    q: str = ""
    category: str = ""
    level: str = ""
    language: str = ""
    price: str = ""
    sort: str = ""
    after: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """What can be used of an address: a value nobody offers counts as not said."""
        known = {name: value for name, codes in _CODES.items() if (value := query.get(name, "")) in codes}
        category = query.get("category", "")
        return cls(
            q=_line(query.get("q", "")),
            category=category if _is_code(category) else "",
            after=query.get("after", "") if len(query.get("after", "")) <= _LONGEST_CURSOR else "",
            **known,
        )

    def link(self, **changes: str) -> str:
        """The list with these changes; from its first page, unless `after` is among them."""
        changed = replace(self, **{"after": "", **changes})
        query = urlencode([(name, value) for name, value in changed if value])
        return f"{LIST}?{query}" if query else LIST

    def chosen(self) -> Iterator[tuple[str, str]]:
        """The narrowing ones, as shown above the result."""
        return ((name, value) for name, value in self if value and name not in ("sort", "after"))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))


def _line(text: str) -> str:
    normal = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(character for character in normal if _is_readable(character))[:_LONGEST_TEXT]


def _is_readable(character: str) -> bool:
    # U+FFFD stands where an address had bytes that are no text.
    return character != "\ufffd" and unicodedata.category(character)[0] != "C"


def _is_code(text: str) -> bool:
    return len(text) <= 50 and text.isascii() and text.replace("-", "").isalnum() and text == text.lower()
