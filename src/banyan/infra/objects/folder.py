"""Objects as files: written beside under a hidden name, and renamed when they are whole and on the disk."""

import asyncio
import contextlib
import os
import stat
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from banyan.infra.disk import sync_folder, write_all
from banyan.infra.objects.kinds import PIECE, ObjectMissing, Stored, StoreTrouble, checked

_PARTIAL = ".partial"
_LEFT_SECONDS = 86_400.0  # nobody writes one object for longer; what is older was left by a kill


class Folder:
    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> int:
        path = self._path / checked(name)
        draft = path.with_name(f".{uuid.uuid4().hex}{_PARTIAL}")
        size = 0
        with self._troubles():
            descriptor = await asyncio.to_thread(self._begin, path.parent, draft)
        try:
            async for chunk in chunks:  # whose own troubles are not of this store
                size += len(chunk)
                with self._troubles():
                    await asyncio.to_thread(write_all, descriptor, chunk)
            with self._troubles():
                await asyncio.to_thread(self._finish, descriptor, draft, path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        finally:
            os.close(descriptor)
        return size

    def _begin(self, parent: Path, draft: Path) -> int:
        made = next((folder for folder in [parent, *parent.parents] if folder.exists()), parent)
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while parent != made:
            sync_folder(parent.parent)
            parent = parent.parent
        for left in draft.parent.glob(f".*{_PARTIAL}"):
            with contextlib.suppress(FileNotFoundError):
                if left.stat().st_mtime < time.time() - _LEFT_SECONDS:
                    left.unlink()
        return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def _finish(self, descriptor: int, draft: Path, path: Path) -> None:
        os.fsync(descriptor)
        draft.rename(path)
        sync_folder(path.parent)

    async def get(self, name: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        path = self._path / checked(name)
        with self._troubles():
            if not await asyncio.to_thread(_is_file, path):
                raise ObjectMissing(self.name, name)
            file = await asyncio.to_thread(path.open, "rb")
        with file:
            file.seek(start)
            left = length
            while left is None or left > 0:
                with self._troubles():
                    piece = await asyncio.to_thread(file.read, PIECE if left is None else min(PIECE, left))
                if not piece:
                    return
                left = None if left is None else left - len(piece)
                yield piece

    async def find(self, name: str) -> Stored | None:
        path = self._path / checked(name)
        with self._troubles():
            return await asyncio.to_thread(_stored, path, name)

    async def list(self, folder: str) -> AsyncIterator[Stored]:
        waiting = [checked(folder)]
        while waiting:
            name = waiting.pop()
            path = self._path / name
            with self._troubles():
                found = await asyncio.to_thread(_stored, path, name)
                below = [] if found is not None else await asyncio.to_thread(_below, path)
            if found is not None and name != folder:
                yield found
            waiting += [f"{name}/{one}" for one in sorted(below, reverse=True)]

    async def delete(self, name: str) -> None:
        path = self._path / checked(name)
        with self._troubles():
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def close(self) -> None:
        return None

    @contextmanager
    def _troubles(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            raise StoreTrouble(self.name, fault) from fault


def _is_file(path: Path) -> bool:
    """A pipe would never end, or never begin."""
    return path.is_file()


def _stored(path: Path, name: str) -> Stored | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Stored(name, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _below(path: Path) -> list[str]:
    try:
        return [entry for entry in os.listdir(path) if not entry.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
