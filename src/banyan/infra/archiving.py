"""PostgreSQL's log, segment by segment in a folder outside, for a restore to any moment.

A folder for each server and each life of it: a database made anew counts its segments from one again. A replica that
takes its primary's place goes on in the same folder, on a branch of history of its own.
"""

import contextlib
import os
import shlex
import struct
from pathlib import Path

from banyan.infra.settings import Settings


def folder(settings: Settings, server: str, system: str) -> Path:
    return Path(settings.wal_archive).expanduser().absolute() / server.removesuffix(".replica") / system


def system_of(data_folder: Path) -> str:
    """What PostgreSQL calls a database cluster's identifier; it stays the same in physical copies."""
    with (data_folder / "global" / "pg_control").open("rb") as file:
        return str(struct.unpack("=Q", file.read(8))[0])


def prepare(settings: Settings, server: str, data_folder: Path, owner: int) -> None:
    """Make the folder. If that cannot be done, archiving fails, loses nothing and says so; the server starts."""
    if not settings.wal_archive:
        return
    with contextlib.suppress(OSError):
        made = folder(settings, server, system_of(data_folder))
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        if owner != os.getuid():
            os.chown(made, owner, -1)


def parameters(settings: Settings, server: str, data_folder: Path) -> dict[str, str]:
    """What a server is started with so that it archives."""
    if not settings.wal_archive:
        return {}
    seconds = max(1, round(settings.wal_archive_every))
    where = _quoted(folder(settings, server, system_of(data_folder)))
    return {"archive_mode": "on", "archive_timeout": f"{seconds}s", "archive_command": _ARCHIVE.format(where=where)}


def restore_command(settings: Settings, server: str, system: str) -> str:
    """How a server in recovery gets a segment back; where there is no archive, not at all."""
    if not settings.wal_archive:
        return "false"
    return _RESTORE.format(where=_quoted(folder(settings, server, system)))


# A segment has its name only when all of it is on the disk. One that is there already was archived before a crash: it
# counts if it is the same, and is never written over. Segments that were cut short by the clock are mostly zeros, so
# compressing is quick and saves nearly all of them. Anything but success, and PostgreSQL keeps its segment and asks
# again. (%p and %f are PostgreSQL's.)
_ARCHIVE = (
    "a={where}; umask 077; "
    'if test -e "$a/%f.gz"; then gzip -dc "$a/%f.gz" | cmp -s - "%p"; else '
    'gzip -1c < "%p" > "$a/.%f" && sync "$a/.%f" && mv "$a/.%f" "$a/%f.gz" && sync "$a" '
    '|| {{ rm -f "$a/.%f"; exit 1; }}; fi'
)
_RESTORE = 'a={where}; test -e "$a/%f.gz" && gzip -dc "$a/%f.gz" > "%p"'


def _quoted(path: Path) -> str:
    return shlex.quote(str(path)).replace("%", "%%")
