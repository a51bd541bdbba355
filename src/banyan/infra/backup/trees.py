"""Folders as one stream of tar, and back. Only plain files and folders travel; their names stay below their root."""

import asyncio
import contextlib
import os
import sqlite3
import tarfile
import tempfile
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO

from banyan.infra.backup.manifest import Damaged
from banyan.infra.backup.places import PIECE
from banyan.infra.disk import write_all

_SQLITE = b"SQLite format 3\0"
_NOT_OURS = (tarfile.TarError, EOFError, ValueError, zlib.error, FileExistsError, IsADirectoryError, NotADirectoryError)
_SQLITE_BESIDE = ("-wal", "-shm", "-journal")


async def pack(
    root: Path, wanted: Callable[[PurePosixPath], bool], also: Mapping[str, Path] = MappingProxyType({})
) -> AsyncIterator[bytes]:
    """What is below `root` and wanted, and files from elsewhere under names of their own. What vanishes meanwhile is
    left out: nobody waits for this."""
    reading, writing = os.pipe()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with (
                os.fdopen(writing, "wb") as sink,
                tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as tar,
            ):
                for path in _below(root, wanted):
                    _add(tar, path, path.relative_to(root).as_posix())
                for name, path in also.items():
                    _add(tar, path, name)
        except BrokenPipeError:
            pass  # nobody reads any more, and whoever stopped knows why
        except BaseException as fault:
            failures.append(fault)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        while piece := await asyncio.to_thread(os.read, reading, PIECE):
            yield piece
        await asyncio.to_thread(writer.join)
    finally:
        os.close(reading)
    if failures:
        raise failures[0]


def _below(root: Path, wanted: Callable[[PurePosixPath], bool]) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if wanted(PurePosixPath((here / name).relative_to(root))))
        for name in (*folders, *sorted(files)):
            path = here / name
            plain = not path.is_symlink() and (path.is_file() or path.is_dir())
            if plain and wanted(PurePosixPath(path.relative_to(root))):
                yield path


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    try:
        if path.name.endswith(_SQLITE_BESIDE):
            return
        if path.is_dir():
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
            return
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) == _SQLITE:
                _add_sqlite(tar, path, name)
                return
            file.seek(0)
            _add_file(tar, file, name)
    except FileNotFoundError:
        return


def _add_file(tar: tarfile.TarFile, file: IO[bytes], name: str) -> None:
    """As many bytes as there are now, even if the file grows or shrinks meanwhile."""
    entry = tarfile.TarInfo(name)
    entry.size = os.fstat(file.fileno()).st_size
    entry.mtime = os.fstat(file.fileno()).st_mtime
    tar.addfile(entry, _Padded(file))


class _Padded:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size).ljust(max(size, 0), b"\0")


def _add_sqlite(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """A database file may be written to just now: SQLite makes the copy, of one moment."""
    with tempfile.TemporaryDirectory(prefix="banyan-") as folder:
        copy = Path(folder) / "copy"
        with (
            contextlib.closing(sqlite3.connect(path, timeout=30)) as source,
            contextlib.closing(sqlite3.connect(copy)) as made,
        ):
            source.backup(made, pages=4096)
        with copy.open("rb") as file:
            _add_file(tar, file, name)


async def unpack(chunks: AsyncIterator[bytes], root: Path, name: str) -> None:
    """Files readable by their owner only. Raises Damaged for an entry that has no business there."""
    reading, writing = os.pipe()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            with os.fdopen(reading, "rb") as source, tarfile.open(fileobj=source, mode="r|*") as tar:
                for entry in tar:
                    _extract(tar, entry, root, name)
                while source.read(PIECE):  # the padding at the end
                    pass
        except BaseException as fault:
            failures.append(fault)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            async for chunk in chunks:
                await asyncio.to_thread(write_all, writing, chunk)
    finally:
        os.close(writing)
        await asyncio.to_thread(reader.join)
    if failures:
        if isinstance(failures[0], _NOT_OURS):
            raise Damaged(name, f"is no archive of files ({failures[0]})") from failures[0]
        raise failures[0]


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, root: Path, name: str) -> None:
    relative = PurePosixPath(entry.name)
    plain = (entry.isreg() and not entry.issparse()) or entry.isdir()
    if relative.is_absolute() or ".." in relative.parts or not plain:
        raise Damaged(name, f"has an entry that is not ours: {entry.name!r}")
    target = root / relative
    if entry.isdir():
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        return
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    content = tar.extractfile(entry)
    if content is None:
        raise Damaged(name, f"has an entry without content: {entry.name!r}")
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        while piece := content.read(PIECE):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    os.utime(target, (entry.mtime, entry.mtime))
