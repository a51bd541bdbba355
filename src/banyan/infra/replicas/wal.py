"""PostgreSQL's log as files: what a stopped replica lacks of it, and how it is given that."""

import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from banyan.infra import embedded
from banyan.infra.disk import sync_folder
from banyan.infra.embedded import EmbeddedPostgresError, Privileges
from banyan.infra.replicas.orders import as_text, from_text

_SEGMENT = 16 * 1_048_576
_PAGE = 8192
_LARGEST_HEADER = 40  # of a page; a record that crosses into one is longer by that than it says
_READ_SECONDS = 20.0
_SECONDS_FOR_A_SEGMENT = 0.5
_RECORD = re.compile(
    rb"^rmgr: Transaction +len \(rec/tot\): +\d+/ *(\d+), .*?lsn: ([0-9A-F]+/[0-9A-F]+), .*?desc: (\S+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Found:
    """Ends of transactions after a position: where the last one begins, and how many of them are commits."""

    end: int
    commits: int


@dataclass(frozen=True, slots=True)
class Rescue:
    """Where the replica's own log ended, on which timeline, and how many commits were taken over from the old folder
    (None: it could not be read)."""

    received: int
    timeline: int
    commits: int | None


def is_there(folder: Path, position: int, timeline: int) -> bool:
    """Whether a folder still has the log at a position."""
    with contextlib.suppress(OSError):
        return (folder / "pg_wal" / name(position, timeline)).stat().st_size == _SEGMENT
    return False


def end_of_recovery(rights: Privileges, folder: Path) -> int:
    return from_text(_control(rights, folder, "Minimum recovery ending location"))


def timeline(rights: Privileges, folder: Path) -> int:
    ending = int(_control(rights, folder, "Min recovery ending loc's timeline"))
    return ending or int(_control(rights, folder, "Latest checkpoint's TimeLineID"))


def after(rights: Privileges, folder: Path, start: int, timeline: int) -> Found | None:
    """What a folder's log has from `start` on; None if it cannot be read there. A record of which `start` has only a
    part counts: half a commit is none."""
    if not is_there(folder, start, timeline):
        return None
    begin = max(start - start % _SEGMENT, start - start % _PAGE - 8 * _PAGE)
    first = name(start, timeline)
    try:
        segments = sum(first <= entry.name < f"{timeline + 1:08X}" for entry in (folder / "pg_wal").iterdir())
        # It ends with the complaint that there is no next record, so its exit code says nothing.
        told = ["--path", str(folder / "pg_wal"), "--timeline", str(timeline), "--start", as_text(begin)]
        patience = _READ_SECONDS + segments * _SECONDS_FOR_A_SEGMENT
        said = _run(rights, "pg_waldump", "--rmgr=Transaction", *told, within=patience)
    except (OSError, subprocess.TimeoutExpired):
        return None
    records = [(from_text(at.decode()), int(size), what) for size, at, what in _RECORD.findall(said)]
    records = [record for record in records if _end(*record[:2]) > start]
    return Found(records[-1][0] if records else start, sum(what == b"COMMIT" for _, _, what in records))


def _end(position: int, size: int) -> int:
    return position + size + _LARGEST_HEADER * ((position % _PAGE + size) // _PAGE)


def take_over(source: Path, target: Path, *, start: int, end: int, timeline: int, owner: int) -> None:
    """Copy the log from `start` to `end`. What the replica has already must be the same there, or nothing is copied."""
    first = name(start, timeline)
    known = start % _SEGMENT
    if known and _begins(source / "pg_wal" / first, known) != _begins(target / "pg_wal" / first, known):
        raise EmbeddedPostgresError(f"The logs of {source} and {target} differ before {as_text(start)}.")
    # A record may reach into the segment after the one it begins in.
    for position in range(start - known, end + 2 * _SEGMENT, _SEGMENT):
        segment = source / "pg_wal" / name(position, timeline)
        if segment.exists():
            fresh = target / "pg_wal" / f"{segment.name}.rescued"
            shutil.copyfile(segment, fresh)
            with fresh.open("rb") as file:
                os.fsync(file.fileno())
            fresh.chmod(0o600)
            os.chown(fresh, owner, -1)
            fresh.rename(target / "pg_wal" / segment.name)
    sync_folder(target / "pg_wal")


def name(position: int, timeline: int) -> str:
    segment = position // _SEGMENT
    per_id = 0x100000000 // _SEGMENT
    return f"{timeline:08X}{segment // per_id:08X}{segment % per_id:08X}"


def _begins(segment: Path, size: int) -> bytes:
    with segment.open("rb") as file:
        return file.read(size)


def _control(rights: Privileges, folder: Path, wanted: str) -> str:
    said = _run(rights, "pg_controldata", str(folder)).decode()
    for line in said.splitlines():
        label, _, value = line.partition(":")
        if label == wanted:
            return value.strip()
    raise EmbeddedPostgresError(f"{folder} does not say its {wanted}: {said.strip()[:300]}")


def _run(rights: Privileges, program: str, *arguments: str, within: float = _READ_SECONDS) -> bytes:
    done = subprocess.run(
        [*rights.prefix, str(embedded.binary(program)), *arguments],
        capture_output=True,
        check=False,
        timeout=within,
        env=embedded.environ(),
        cwd="/",
    )
    return done.stdout
