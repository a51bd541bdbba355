"""What a backup holds. It is written last and names every other file, so a backup without it does not count."""

import hashlib
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from banyan.infra.databases import SERVERS
from banyan.kit.errors import NotFound, Refused

FORMAT = 1
PLAIN = "manifest.json"
SEALED = "manifest.sealed"
SUM = "manifest.sha256"  # against accidents; against people there is the digest that the operator keeps


class NoBackup(NotFound):
    def __init__(self, where: str) -> None:
        super().__init__(
            f"There is no backup at {where}: it has no manifest. If one was being written there, it was cut off."
        )


class Damaged(Refused):
    def __init__(self, file: str, what: str) -> None:
        super().__init__(f"{file} of the backup {what}. Nothing was restored. Take another backup.")


class NewerFormat(Refused):
    def __init__(self, found: int) -> None:
        super().__init__(
            f"The backup has format {found}; this Banyan reads formats up to {FORMAT}. Restore it with a newer Banyan."
        )


class NotKnownHere(Refused):
    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"The backup holds {', '.join(names)}, which this Banyan does not know. Restore it with a newer Banyan."
        )


class DigestDiffers(Refused):
    def __init__(self, given: str, found: str) -> None:
        super().__init__(f"The backup's digest is {found}, not {given}: it is another backup, or it was changed.")


class File(msgspec.Struct, frozen=True):
    """Size and SHA-256 as stored, so that a backup can be checked without its passphrase."""

    size: int
    sha256: str


class Table(msgspec.Struct, frozen=True):
    """`checksum` is the sum of the rows' hashes: the same rows in any order give the same."""

    rows: int
    checksum: str


class Dump(msgspec.Struct, frozen=True, kw_only=True):
    """One database, as of one snapshot. `foreign` is one that lived at a URL of its own."""

    database: str
    file: str
    server_version: int
    foreign: bool
    at: datetime
    lsn: str
    tables: dict[str, Table]


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """One embedded server, file by file; `system` is the identifier that its log is archived under."""

    server: str
    file: str
    system: str
    server_version: int
    begun_at: datetime
    ended_at: datetime


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`republish_since`: all older events had reached every consumer's snapshot. `folder` is where the files are."""

    format: int
    kind: Literal["logical", "physical"]
    banyan: str
    machine: str
    begun_at: datetime
    ended_at: datetime
    republish_since: datetime
    folder: str
    dumps: list[Dump]
    bases: list[Base]
    files: dict[str, File]


class _Head(msgspec.Struct):
    format: int


def encode(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def decode(content: bytes, name: str) -> Manifest:
    """Raises NewerFormat, NotKnownHere, Damaged."""
    try:
        found = msgspec.json.decode(content, type=_Head).format
        if found > FORMAT:
            raise NewerFormat(found)
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Damaged(name, f"cannot be read ({fault})") from fault
    _check_names(manifest, name)
    return manifest


def _check_names(manifest: Manifest, name: str) -> None:
    """Whoever wrote it decides neither what is read outside the backup nor which server or database is made."""
    paths = [PurePosixPath(path) for path in (manifest.folder, *manifest.files)]
    if outside := [str(path) for path in paths if path.is_absolute() or ".." in path.parts]:
        raise Damaged(name, f"names what is not in it: {outside[0]!r}")
    kept = [*((dump.database, dump.file) for dump in manifest.dumps), *((b.server, b.file) for b in manifest.bases)]
    if missing := [file for _, file in kept if file not in manifest.files]:
        raise Damaged(name, f"has no hash of {missing[0]!r}")
    known = {name for server in SERVERS for name in (server.name, *server.databases)}
    if strange := sorted({one for one, _ in kept} - known):
        raise NotKnownHere(strange)


def digest(stored: bytes) -> str:
    """What names a backup: of the manifest as stored, which names every file by its hash."""
    return f"sha256:{hashlib.sha256(stored).hexdigest()}"
