"""What the program that works on the archive is asked, and what it answers."""

from typing import Any

import msgspec


class Archive(msgspec.Struct, tag="archive", frozen=True):
    """Archive what is due of a context; the answer is its log."""

    context: str


class File(msgspec.Struct, frozen=True):
    name: str
    first_position: int


class Read(msgspec.Struct, tag="read", frozen=True):
    """Events after a position, in their order, from these files; `size` is the bytes of data after which it ends."""

    files: list[File]
    after: int
    types: list[str]
    limit: int
    size: int


class Find(msgspec.Struct, tag="find", frozen=True):
    names: list[str]
    id: str


Order = Archive | Read | Find


class Page(msgspec.Struct, frozen=True):
    """`reached`: it went no further than this position; None: the files are at their end."""

    rows: list[dict[str, Any]]
    reached: int | None
