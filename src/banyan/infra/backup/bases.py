"""Physical copies of embedded servers, and their way to a moment of the past through the archived log."""

import asyncio
import contextlib
import re
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import asyncpg

from banyan.infra import archiving, embedded
from banyan.infra.backup import programs
from banyan.infra.backup.manifest import Base, Damaged
from banyan.infra.databases import Server
from banyan.infra.embedded import Privileges
from banyan.infra.postgres import CONNECT_TIMEOUT, LOST
from banyan.infra.settings import Settings
from banyan.kit.errors import Refused

_LOOK = 0.1
_LONGEST_REASON = 600
_SHORT = "recovery ended before configured recovery target was reached"
_LAST = re.compile(r"last completed transaction was at log time (\S+ \S+)")


class ArchiveTooShort(Refused):
    def __init__(self, server: str, moment: datetime, last: str | None) -> None:
        reaches = f"It reaches to {last}" if last else "It holds nothing after the backup"
        super().__init__(
            f"The archived log of {server} ends before {moment.isoformat()}. {reaches}; name that or before."
        )


class TooEarly(Refused):
    def __init__(self, moment: datetime, ended_at: datetime) -> None:
        super().__init__(
            f"{moment.isoformat()} is before the end of this backup ({ended_at.isoformat(timespec='seconds')}); "
            "the way from a backup leads forward only. Take an older backup."
        )


class ArchiveNotRead(Refused):
    def __init__(self, server: str, folder: Path) -> None:
        super().__init__(
            f"{folder}, where the archived log of {server} should be, is not there or cannot be read by the user that "
            "PostgreSQL runs as."
        )


class RecoveryFailed(Refused):
    def __init__(self, server: str, said: str) -> None:
        super().__init__(f"{server} did not come to that moment: {said[-_LONGEST_REASON:]}")


@dataclass(frozen=True, slots=True)
class Identity:
    system: str
    server_version: int
    at: datetime


async def identity(url: str) -> Identity:
    """Which server answers there, and its clock."""
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT)
    try:
        row = await connection.fetchrow("SELECT system_identifier, clock_timestamp() AS at FROM pg_control_system()")
        version = connection.get_server_version().major
    finally:
        await connection.close(timeout=5)
    if row is None:
        raise Refused("The server does not say who it is.")
    return Identity(str(row["system_identifier"]), version, row["at"])


async def stream(url: str) -> AsyncIterator[bytes]:
    """A server's files as tar, with PostgreSQL's own list of them, and as much log as makes them whole."""
    dsn, environ = programs.connection(url)
    command = [str(embedded.binary("pg_basebackup")), "--pgdata=-", "--format=tar", "--wal-method=fetch"]
    command += ["--checkpoint=fast", "--compress=client-gzip:1", "--no-password", f"--dbname={dsn}"]
    async for piece in programs.output(command, environ):
        yield piece


async def check(folder: Path, name: str) -> None:
    """Raises Damaged unless every file is as PostgreSQL listed it."""
    command = [str(embedded.binary("pg_verifybackup")), "--exit-on-error", "--quiet", str(folder)]
    checked = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        raise Damaged(name, f"is not what PostgreSQL listed: {checked.stderr.strip()[-_LONGEST_REASON:]}")
    (folder / "backup_manifest").unlink()
    (folder / "postgresql.auto.conf").write_text("")  # a standby that the old server waited for is not here
    (folder / "recovery.signal").touch(mode=0o600)


async def recover(
    settings: Settings, server: Server, base: Base, rights: Privileges, *, archive: Settings, moment: datetime | None
) -> None:
    """Play the log back until `moment`, or only until the copy is whole. Either way a new branch of history begins, so
    that what this server archives is never taken for the old one's. Raises ArchiveNotRead, ArchiveTooShort,
    RecoveryFailed."""
    if moment is not None:
        await asyncio.to_thread(_check_archive, archiving.folder(archive, server.name, base.system), server, rights)
    parameters = {
        "hot_standby": "off",
        "archive_mode": "off",
        "recovery_target_action": "promote",
        "restore_command": archiving.restore_command(archive, server.name, base.system)
        if archive.wal_archive
        else "false",
        **({"recovery_target_time": moment.isoformat()} if moment else {"recovery_target": "immediate"}),
    }
    options = [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]
    embedded.initialise(settings, server, rights)
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *embedded.command(settings, server, rights), *options, stdout=log, stderr=log, cwd="/"
        )
        try:
            while not await _is_writable(settings, server):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _LOOK)
                    log.seek(0)
                    _explain(server, log.read().decode(errors="replace"), moment)
        finally:
            if process.returncode is None:
                process.send_signal(embedded.STOP_SIGNAL)
                await process.wait()
    if process.returncode not in (0, -signal.SIGINT):
        raise RecoveryFailed(server.name, f"it ended with exit code {process.returncode}")
    _have_branch_archived(embedded.data_folder(settings, server))


def _have_branch_archived(folder: Path) -> None:
    """Where the branch begins is for the archive, but only once somebody really starts this server: a restore that was
    cut off or only tried would lead the next one astray."""
    status = folder / "pg_wal" / "archive_status"
    for history in (folder / "pg_wal").glob("*.history"):
        if not (status / f"{history.name}.done").exists():
            (status / f"{history.name}.ready").touch(mode=0o600)


def _check_archive(folder: Path, server: Server, rights: Privileges) -> None:
    readable = subprocess.run([*rights.prefix, "test", "-x", folder, "-a", "-r", folder], check=False, cwd="/")
    if readable.returncode != 0:
        raise ArchiveNotRead(server.name, folder)


async def _is_writable(settings: Settings, server: Server) -> bool:
    try:
        connection = await embedded.connect(settings, server)
    except LOST:
        return False
    try:
        return not await connection.fetchval("SELECT pg_is_in_recovery()", timeout=CONNECT_TIMEOUT)
    finally:
        connection.terminate()


def _explain(server: Server, said: str, moment: datetime | None) -> None:
    if _SHORT in said and moment is not None:
        times = _LAST.findall(said)
        raise ArchiveTooShort(server.name, moment, times[-1] if times else None)
    faults = [line for line in said.splitlines() if line.startswith(("FATAL", "PANIC", "ERROR"))]
    raise RecoveryFailed(server.name, "; ".join(faults) or said)
