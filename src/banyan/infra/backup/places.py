"""Where a backup is kept: a folder here, or S3 (`s3.py`). Both make it visible as a whole or not at all."""

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from banyan.infra.backup import manifest
from banyan.infra.disk import sync_folder, write_all
from banyan.kit.errors import Conflict, Refused

PIECE = 1024 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class PlaceTaken(Conflict):
    def __init__(self, where: str) -> None:
        super().__init__(f"{where} is there already and not empty; a backup overwrites nothing. Name another place.")


class NoRoom(Refused):
    def __init__(self, where: str, fault: OSError) -> None:
        super().__init__(f"There is no room for this at {where} ({fault.strerror}). Nothing there counts.")


class PlaceUnusable(Refused):
    def __init__(self, where: str, fault: OSError) -> None:
        super().__init__(f"{where} cannot be used: {fault.strerror or fault}. Name another place.")


class FileMissing(manifest.Damaged):
    def __init__(self, name: str) -> None:
        super().__init__(name, "is missing")


class Place(Protocol):
    """`folder` goes into the manifest: below it the files of this backup are, apart from those of an attempt that was
    cut off."""

    name: str
    folder: str

    async def begin(self) -> None:
        """Raises PlaceTaken."""
        ...

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None: ...

    async def finish(self) -> None:
        """Everything was put, the manifest last: from now on it counts."""
        ...

    async def abandon(self) -> None: ...

    def get(self, name: str) -> AsyncIterator[bytes]:
        """Raises FileMissing."""
        ...

    async def close(self) -> None: ...


class Folder:
    """Written beside, under a name that tells whose it is, and renamed at the end."""

    folder = ""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}.partial")

    async def begin(self) -> None:
        with self._troubles():
            await asyncio.to_thread(self._begin)

    def _begin(self) -> None:
        if os.path.lexists(self._path) and (not self._path.is_dir() or any(self._path.iterdir())):
            raise PlaceTaken(self.name)
        if self._path.is_mount():
            raise Refused(f"{self.name} is where a disk begins; name a folder in it, which is made when all is there.")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        for left in self._path.parent.glob(f".{self._path.name}.*.partial"):
            if not _lives(left.suffixes[-2]):
                shutil.rmtree(left, ignore_errors=True)
        self._draft.mkdir(mode=0o700)

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        path = self._draft / name
        with self._troubles():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            async for chunk in chunks:  # whose own troubles are not of this place
                with self._troubles():
                    await asyncio.to_thread(write_all, descriptor, chunk)
            with self._troubles():
                await asyncio.to_thread(os.fsync, descriptor)
        finally:
            os.close(descriptor)

    async def finish(self) -> None:
        with self._troubles():
            for folder in {path.parent for path in self._draft.rglob("*")}:
                sync_folder(folder)
            self._draft.rename(self._path)  # over an empty folder, but over nothing else
            sync_folder(self._path.parent)

    async def abandon(self) -> None:
        shutil.rmtree(self._draft, ignore_errors=True)

    def is_below(self, folder: Path) -> bool:
        return self._path.resolve().is_relative_to(folder.resolve())

    async def get(self, name: str) -> AsyncIterator[bytes]:
        if not (self._path / name).is_file():  # a pipe would never end, or never begin
            raise FileMissing(name)
        file = await asyncio.to_thread((self._path / name).open, "rb")
        with file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece

    async def close(self) -> None:
        return None

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise (NoRoom if fault.errno in _NO_ROOM else PlaceUnusable)(self.name, fault) from fault


def _lives(suffix: str) -> bool:
    pid = suffix.removeprefix(".")
    if pid == str(os.getpid()):  # in a container each attempt has the number of the one before
        return False
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
