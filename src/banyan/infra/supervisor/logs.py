"""One log file per child: JSON lines, rotated by size."""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec


class RotatingLog:
    """Appends lines to `path`; past `limit` bytes the file becomes `.1`, the former `.1` becomes `.2`, up to `keep`.

    A line that is not a JSON object already (PostgreSQL, a traceback at start-up) is wrapped in one. Where the disk is
    full, lines are dropped: nobody may stand still because nobody can write down what they say.
    """

    def __init__(self, path: Path, *, process: str, limit: int, keep: int) -> None:
        self._path = path
        self._process = process
        self._limit = limit
        self._keep = keep
        self._file = path.open("ab", buffering=0)
        path.chmod(0o600)
        self._size = path.stat().st_size

    def write(self, line: bytes) -> None:
        line = line.rstrip(b"\r\n")
        if not line:
            return
        if not (line.startswith(b"{") and line.endswith(b"}")):
            line = msgspec.json.encode(
                {
                    "event": line.decode("utf-8", "replace"),
                    "level": "info",
                    "at": datetime.now(UTC).isoformat(),
                    "process": self._process,
                }
            )
        with contextlib.suppress(OSError):
            if self._size > self._limit:
                self._rotate()
            self._file.write(line + b"\n")
            self._size += len(line) + 1

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        rotate(self._path, self._keep)
        fresh = self._path.open("ab", buffering=0)  # where that fails, the old one goes on
        self._file.close()
        self._file = fresh
        self._path.chmod(0o600)
        self._size = 0


def rotate(path: Path, keep: int) -> None:
    """Move `path` to `path.1`, `.1` to `.2`, ..., and drop what is older than `keep`; with 0 nothing is kept."""
    if keep == 0:
        path.unlink(missing_ok=True)
    for number in range(keep, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        if newer.exists():
            newer.replace(older)
