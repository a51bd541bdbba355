"""What every object store does, and what goes wrong with one."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from banyan.kit.errors import NotFound, Unavailable

PIECE = 1024 * 1024

_PART = re.compile(r"[A-Za-z0-9_=][A-Za-z0-9_=.-]*")
_LONGEST = 700  # bytes; S3 takes 1,024 with the prefix


class ObjectMissing(NotFound):
    def __init__(self, where: str, name: str) -> None:
        super().__init__(f"{where} has no {name}.")


class StoreTrouble(Unavailable):
    def __init__(self, where: str, fault: BaseException) -> None:
        reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
        super().__init__(f"{where} cannot be used just now: {reason}")


@dataclass(frozen=True, slots=True)
class Stored:
    name: str
    size: int
    at: datetime


class ObjectStore(Protocol):
    """Names are parts of letters, digits and `_=.-`, with `/` between them. Everything raises StoreTrouble where the
    store cannot be reached, written or read."""

    name: str

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        """All of it at once, over what had that name; answers the bytes. If it fails, nothing has changed."""
        ...

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Its bytes, or some of them. Raises ObjectMissing."""
        ...

    async def find(self, name: str) -> Stored | None: ...

    def list(self, folder: str) -> AsyncIterator[Stored]:
        """Everything below `folder`, by name."""
        ...

    async def delete(self, name: str) -> None:
        """Nothing happens where it is gone already."""
        ...

    async def close(self) -> None: ...


def checked(name: str) -> str:
    """The name itself. Raises ValueError for one that would lead elsewhere, or that a store could not keep."""
    if len(name) > _LONGEST or not all(_PART.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"{name!r} is no name of an object.")
    return name
