"""PostgreSQL's own programs, fed and read piece by piece. Passwords go by the environment, never by a command line."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from banyan.infra import embedded, proc
from banyan.infra.backup.places import PIECE
from banyan.infra.supervisor.child import dies_with_parent
from banyan.kit.errors import Refused

Command: TypeAlias = Sequence[str | os.PathLike[str]]

_LONGEST_COMPLAINT = 2000
_LONGEST_SILENCE = 900.0  # a server that hangs


class ProgramFailed(Refused):
    def __init__(self, program: str, complaint: str) -> None:
        super().__init__(f"{program} failed: {complaint.strip()[-_LONGEST_COMPLAINT:] or 'it did not say why'}")


class ProgramTooOld(Refused):
    def __init__(self, database: str, program: str, server: int, found: int) -> None:
        super().__init__(
            f"{database} is on PostgreSQL {server}, and the {program} here is of version {found}, too old for it. "
            f"Install PostgreSQL {server}'s client programs, so that its {program} is found in PATH."
        )


def for_server(program: str, database: str, server_version: int, *, foreign: bool) -> Path:
    """The program to use with a server: ours, or for a server that is not ours the machine's own where that is new
    enough, because it may know TLS, which ours does not. Raises ProgramTooOld."""
    ours = embedded.binary(program)
    found = shutil.which(program) if foreign else None
    versions = {path: _major(path) for path in (Path(found) if found else ours, ours)}
    for path, version in versions.items():
        if version >= server_version:
            return path
    raise ProgramTooOld(database, program, server_version, max(versions.values()))


def _major(program: Path) -> int:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    match = re.search(r"(\d+)(\.\d+|devel|beta|rc|\s|$)", told)
    return int(match[1]) if match else 0


def connection(url: str) -> tuple[str, dict[str, str]]:
    """A URL without its password, and the environment that has it."""
    parts = urlsplit(url)
    account, at, host = parts.netloc.rpartition("@")
    role, _, password = account.partition(":")
    query = parse_qsl(parts.query, keep_blank_values=True)
    password = next((value for name, value in query if name == "password"), unquote(password))
    bare = urlencode([pair for pair in query if pair[0] != "password"])
    environ = {"PGPASSWORD": password} if password else {}
    return urlunsplit(("postgresql", f"{role}{at}{host}", parts.path, bare, "")), environ


async def output(command: Command, environ: Mapping[str, str]) -> AsyncIterator[bytes]:
    """What a program writes, piece by piece. Raises ProgramFailed when it ends badly."""
    async with _running(command, environ, stdin=asyncio.subprocess.DEVNULL) as process:
        assert process.stdout is not None  # asked for with a pipe
        while piece := await _within(process.stdout.read(PIECE), command):
            yield piece


async def feed(command: Command, environ: Mapping[str, str], chunks: AsyncIterator[bytes]) -> None:
    """Let a program read all of `chunks`. Raises ProgramFailed when it ends badly."""
    async with _running(command, environ, stdin=asyncio.subprocess.PIPE) as process:
        assert process.stdin is not None  # asked for with a pipe
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then its exit code and complaint tell more
            async for chunk in chunks:
                process.stdin.write(chunk)
                await process.stdin.drain()
        process.stdin.close()


async def _within(reading: Coroutine[None, None, bytes], command: Command) -> bytes:
    try:
        return await asyncio.wait_for(reading, _LONGEST_SILENCE)
    except TimeoutError as fault:
        raise ProgramFailed(Path(command[0]).name, f"it said nothing for {_LONGEST_SILENCE:.0f} s") from fault


@asynccontextmanager
async def _running(
    command: Command, environ: Mapping[str, str], *, stdin: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *dies_with_parent(signal.SIGTERM),
        *command,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE if stdin == asyncio.subprocess.DEVNULL else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8", **environ},
    )
    assert process.stderr is not None  # asked for with a pipe
    complaint = asyncio.create_task(process.stderr.read())
    try:
        yield process
        code = await process.wait()
        if code != 0:
            raise ProgramFailed(Path(command[0]).name, (await complaint).decode(errors="replace"))
    finally:
        complaint.cancel()
        await asyncio.gather(complaint, return_exceptions=True)
        await proc.end(process)
