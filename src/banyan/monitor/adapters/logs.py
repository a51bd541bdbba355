"""The log files, read from their ends as if they were one: bounded in bytes and in time, nothing outside the folder."""

import heapq
import json
import os
import re
import stat
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from banyan.contracts.monitor import LogLine, LogPage
from banyan.kit import paging
from banyan.kit.paging import CursorNotOurs
from banyan.monitor.domain import loglines
from banyan.monitor.domain.loglines import ACCESS, Search

_FILE = re.compile(r"(?P<log>[a-z0-9][a-z0-9-]{0,60})\.log(\.(?P<number>[0-9]{1,4}))?")
_BLOCK = 65_536
_LONGEST_LINE = 262_144
_EVERY = 256

Place = tuple[int, int]
"""Inode and offset: all before it has not been read. A file keeps its inode when it is rotated."""


class Logs:
    def __init__(self, folder: Path, *, most_bytes: int = 24_000_000, most_seconds: float = 1.5) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds

    def page(self, search: Search, *, process: str, after: str | None, limit: int) -> LogPage:
        """Reads files, so it takes its time. Raises CursorNotOurs."""
        places = _places(after)
        budget = _Budget(self._most_bytes, time.monotonic() + self._most_seconds)
        readers = [
            _Backwards(log, files, places.get(log), budget, fresh=after is None)
            for log, files in sorted(self._files().items())
            if not process or process == log or (process == "envoy" and log == ACCESS)
        ]
        merged = heapq.merge(*(reader.lines() for reader in readers), key=lambda found: -found[0])
        items: list[LogLine] = []
        full = False
        for number, (at, reader, line, place) in enumerate(merged):
            if len(items) >= limit or (number % _EVERY == 0 and budget.time_is_up()):
                full = True
                break
            reader.place = place
            if search.may_fit(line):
                read = loglines.read(line, process=reader.log, at=at)
                if search.fits(read):
                    items.append(read)
        for reader in readers:
            reader.close()
        more = full or budget.spent
        return LogPage(items, _cursor({reader.log: reader.place for reader in readers}) if more else None)

    def _files(self) -> dict[str, list[Path]]:
        """Of each log the newest first."""
        found: dict[str, list[tuple[int, Path]]] = defaultdict(list)
        for entry in self._folder.iterdir():
            name = _FILE.fullmatch(entry.name)
            if name is not None:
                found[name["log"]].append((int(name["number"] or 0), entry))
        return {log: [path for _, path in sorted(files)] for log, files in found.items()}


@dataclass(slots=True)
class _Budget:
    """Of one request."""

    left: int
    until: float
    spent: bool = False

    def take(self, size: int) -> bool:
        self.left -= size
        if self.left < 0 or self.time_is_up():
            self.spent = True
        return not self.spent

    def time_is_up(self) -> bool:
        return time.monotonic() > self.until


class _Backwards:
    """One log, the newest line first, through its rotated files. `place` is where to go on."""

    def __init__(self, log: str, files: list[Path], place: Place | None, budget: _Budget, *, fresh: bool) -> None:
        self.log = log
        self.place: Place | None = place
        self._files = files
        self._budget = budget
        self._begun = fresh
        self._open: int | None = None

    def lines(self) -> Iterator[tuple[float, "_Backwards", bytes, Place]]:
        """When, who, what, and where the line begins."""
        at: float | None = None
        for path in self._files:
            descriptor = _opened(path)
            if descriptor is None:
                continue
            self._open = descriptor
            known = os.fstat(descriptor)
            end = known.st_size
            if not self._begun:
                if self.place is None or known.st_ino != self.place[0]:
                    self.close()
                    continue
                self._begun = True
                end = min(end, self.place[1])
            elif self.place is None:
                self.place = (known.st_ino, end)
            for start, line in self._of_file(descriptor, end):
                at = loglines.moment(line) or at or known.st_mtime
                yield at, self, line, (known.st_ino, start)
            self.close()
            if self._budget.spent:
                return

    def close(self) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None

    def _of_file(self, descriptor: int, end: int) -> Iterator[tuple[int, bytes]]:
        rest = b""
        position = end
        while position > 0:
            size = min(_BLOCK, position)
            if not self._budget.take(size):
                return
            position -= size
            rest = os.pread(descriptor, size, position) + rest
            first, *others = rest.split(b"\n")
            offset = position + len(rest)
            for line in reversed(others):
                offset -= len(line)
                if line.strip():
                    yield offset, line
                offset -= 1
            rest = first
            if len(rest) > _LONGEST_LINE:
                yield position, rest[:_BLOCK]
                rest = b""
        if rest.strip():
            yield 0, rest


def _opened(path: Path) -> int | None:
    """Only a plain file: no link leads out of the folder, and no pipe keeps us waiting."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None  # rotated away, or not ours to read
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _cursor(places: dict[str, Place | None]) -> str:
    return paging.encode_cursor(json.dumps({log: list(place) for log, place in places.items() if place is not None}))


def _places(cursor: str | None) -> dict[str, Place]:
    if cursor is None:
        return {}
    (text,) = paging.decode_cursor(cursor, str)
    try:
        found = json.loads(str(text))
    except (ValueError, RecursionError):
        raise CursorNotOurs from None
    if not isinstance(found, dict):
        raise CursorNotOurs
    places: dict[str, Place] = {}
    for log, place in found.items():
        if not isinstance(place, list) or [type(part) for part in place] != [int, int] or min(place) < 0:
            raise CursorNotOurs
        places[log] = (place[0], place[1])
    return places
