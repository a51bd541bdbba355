"""How a consumer's state can be built anew: beside the old one, which readers have until the new one takes its place.

The new state is tables of the same names in a schema of the consumer's own. While they are filled, that schema comes
first in the search path, so the same SQL fills them. `swap` then makes the old rows equal to the new ones, in one
transaction: readers see the state before it or after it. By difference, because others refer to the rows that stay.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from banyan.infra.postgres import Connection

Handle: TypeAlias = Callable[[Connection, Any], Awaitable[None]]
Swap: TypeAlias = Callable[[Connection, datetime], Awaitable[None]]
"""With the time at which the rebuild began: what was told since then, only the old state may know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FromStore:
    """From all events that its owner's store and archive still have, by the consumer's own handlers; `handlers` are
    taken instead where those do more than change rows. For events without personal data."""

    tables: tuple[str, ...]
    swap: Swap
    handlers: Mapping[type[Any], Handle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Of the owner's view. `next` is where the next one begins; `total` 0: not known."""

    items: Sequence[Any]
    next: str | None
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FromView:
    """From what its owner shows now. For rows that know when what they say was told: whatever comes late, or again, or
    while this goes on, the newest counts. `pages` is asked outside of any transaction, first with an empty text."""

    tables: tuple[str, ...]
    swap: Swap
    pages: Callable[[str], Awaitable[Page]]
    fill: Callable[[Connection, Sequence[Any]], Awaitable[None]]


Way: TypeAlias = FromStore | FromView


def schema_of(consumer: str) -> str:
    """Where the new state of a consumer is until it is finished."""
    return f"anew_{consumer.replace('-', '_')}"
