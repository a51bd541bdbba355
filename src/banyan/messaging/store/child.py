"""Starting the program that works on the archive, with a limit on how long and how much."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

import msgspec

from banyan.infra import proc
from banyan.infra.settings import Settings
from banyan.kit.errors import Unavailable
from banyan.messaging.store.protocol import Archive, Find, Order, Page, Read

_PROGRAM = "banyan.messaging.store.program"
_ARCHIVING_SECONDS = 3600.0
_READING_SECONDS = 20.0
_LONGEST_REASON = 400


class ArchiveUnread(Unavailable):
    """The archive cannot be read just now; the service's log says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The archive cannot be read just now: {reason}")


class ArchiveBusy(Unavailable):
    """The archive is read by somebody else just now. Try again in a moment."""


class ArchivingFailed(Exception):
    """The program says why; what it did not do is done the next time."""


async def archive(settings: Settings, context: str) -> None:
    """Raises ArchivingFailed."""
    process = await _start(settings, Archive(context), stdout=None)
    try:
        async with asyncio.timeout(_ARCHIVING_SECONDS):
            said = await _said(process)
    except TimeoutError:
        raise ArchivingFailed(f"It took more than {_ARCHIVING_SECONDS:g} s and was ended.") from None
    finally:
        await proc.end(process)
    if process.returncode:
        raise ArchivingFailed(_reason(said, process.returncode))


class Reader:
    """One at a time: each takes as much memory as a service."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turn = asyncio.Lock()

    async def read(self, order: Read | Find) -> Page:
        """Raises ArchiveUnread, ArchiveBusy."""
        try:
            await asyncio.wait_for(self._turn.acquire(), _READING_SECONDS / 4)
        except TimeoutError:
            raise ArchiveBusy from None
        try:
            return await self._read(order)
        finally:
            self._turn.release()

    async def _read(self, order: Read | Find) -> Page:
        process = await _start(self._settings, order, stdout=PIPE)
        try:
            async with asyncio.timeout(_READING_SECONDS):
                assert process.stdout is not None
                answer, said = await asyncio.gather(process.stdout.read(-1), _said(process))
        except TimeoutError:
            raise ArchiveUnread("it takes too long.") from None
        finally:
            await proc.end(process)
        if process.returncode:
            raise ArchiveUnread(_reason(said, process.returncode))
        return msgspec.json.decode(answer, type=Page)


async def _start(settings: Settings, order: Order, *, stdout: int | None) -> asyncio.subprocess.Process:
    environ = {name: value for name, value in os.environ.items() if name != "BANYAN_LISTEN_FD"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        _PROGRAM,
        msgspec.json.encode(order).decode(),
        stdin=PIPE,  # held open: its end is how the program knows of ours
        stdout=stdout,
        stderr=PIPE,
        env={**environ, **settings.environ()},
    )


async def _said(process: asyncio.subprocess.Process) -> bytes:
    """The end of what it says on standard error, when it has ended."""
    said = b""
    assert process.stderr is not None
    while piece := await process.stderr.read(_LONGEST_REASON):
        said = (said + piece)[-10 * _LONGEST_REASON :]
    await process.wait()
    return said


def _reason(said: bytes, status: int | None) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1][:_LONGEST_REASON] if lines else f"it ended with status {status}."
