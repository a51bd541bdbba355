"""A small backup, written and read."""

import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from banyan.infra.backup import manifest
from banyan.infra.backup.archive import Reader, Writer
from banyan.infra.backup.manifest import Manifest
from banyan.infra.backup.places import Folder

FILES = {"databases/learning.dump": b"rows " * 1000, "files.tar": os.urandom(3000), "objects.tar": b""}

BASE = {
    "server": "quick",
    "file": "core.tar",
    "system": "1",
    "server_version": 18,
    "begun_at": "2026-11-24T10:00:00Z",
    "ended_at": "2026-11-24T10:00:01Z",
}


async def chunks(content: bytes, size: int = 700) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def described(writer: Writer) -> Manifest:
    now = datetime.now(UTC)
    return Manifest(
        format=manifest.FORMAT,
        kind="logical",
        banyan="1",
        machine="m",
        begun_at=now,
        ended_at=now,
        republish_since=now,
        folder=writer.folder,
        dumps=[],
        bases=[],
        files=writer.files,
    )


async def write(path: Path, passphrase: str | None = None, files: Mapping[str, bytes] = FILES) -> str:
    place = Folder(path)
    await place.begin()
    writer = Writer(place, passphrase)
    for name, content in files.items():
        await writer.add(name, chunks(content))
    return await writer.finish(described(writer))


async def read(path: Path, passphrase: str | None = None, digest: str | None = None) -> dict[str, bytes]:
    reader = await Reader.open(Folder(path), passphrase=passphrase, digest=digest)
    await reader.check()
    return {name: b"".join([chunk async for chunk in reader.read(name)]) for name in FILES}
