"""One backup as a set of named files: hashed as they are written, sealed if a passphrase is given, checked before they
are used."""

import hashlib
from collections.abc import AsyncIterator

from banyan.infra.backup import manifest, sealing
from banyan.infra.backup.manifest import Damaged, DigestDiffers, File, Manifest, NoBackup
from banyan.infra.backup.places import FileMissing, Place
from banyan.infra.backup.progress import Tell, telling
from banyan.infra.backup.sealing import Seal

_LARGEST_MANIFEST = 64 * 1024 * 1024  # it is read before anything is known of it


class Writer:
    def __init__(self, place: Place, passphrase: str | None) -> None:
        self.files: dict[str, File] = {}
        self._place = place
        self._seal = Seal(passphrase) if passphrase else None

    @property
    def folder(self) -> str:
        return self._place.folder

    async def add(self, name: str, chunks: AsyncIterator[bytes]) -> File:
        """Store a file; its hash is what stands in the manifest."""
        tally = _Tally()
        await self._place.put(_below(self.folder, name), tally.count(self._sealed(name, chunks)))
        self.files[name] = made = tally.file()
        return made

    async def finish(self, content: Manifest) -> str:
        """Write the manifest, after which the backup counts; answers its digest."""
        name = manifest.SEALED if self._seal else manifest.PLAIN
        stored = await _whole(self._sealed(name, _once(manifest.encode(content))))
        digest = manifest.digest(stored)
        if self._seal is None:
            await self._place.put(_below(self.folder, manifest.SUM), _once(_sum_line(stored)))
        await self._place.put(name, _once(stored))
        await self._place.finish()
        return digest

    def _sealed(self, name: str, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        return self._seal.seal(name, chunks) if self._seal else chunks


class Reader:
    """A backup whose manifest is known to be whole; `digest` names it."""

    def __init__(self, place: Place, content: Manifest, digest: str, seal: Seal | None) -> None:
        self.manifest = content
        self.digest = digest
        self.encrypted = seal is not None
        self._place = place
        self._seal = seal

    @classmethod
    async def open(cls, place: Place, *, passphrase: str | None, digest: str | None) -> "Reader":
        """Raises NoBackup, Damaged, DigestDiffers, NewerFormat, PassphraseNeeded, PassphraseWrong,
        NotEncrypted."""
        name, stored = await _manifest(place)
        found = manifest.digest(stored)
        if digest is not None and digest.removeprefix("sha256:") != found.removeprefix("sha256:"):
            raise DigestDiffers(digest, found)
        if name == manifest.PLAIN:
            if passphrase:
                raise sealing.NotEncrypted
            plain = manifest.decode(stored, name)
            if await _bounded(place.get(_below(plain.folder, manifest.SUM)), manifest.SUM) != _sum_line(stored):
                raise Damaged(name, f"does not fit {manifest.SUM}: one of the two was changed or cut off")
            return cls(place, plain, found, None)
        if not passphrase:
            raise sealing.PassphraseNeeded
        seal = Seal.of(passphrase, stored, name)
        content = await _whole(seal.unseal(name, _once(stored)))
        return cls(place, manifest.decode(content, name), found, seal)

    async def check(self, tell: Tell = lambda _: None) -> None:
        """Read every file once. Raises Damaged for the first that is not as it was written."""
        for name in self.manifest.files:
            async for _ in telling(name, self._stored(name), tell):
                pass

    async def read(self, name: str) -> AsyncIterator[bytes]:
        """A file's content; checked again, since it may have changed after `check`. Raises Damaged."""
        stored = self._stored(name)
        async for chunk in self._seal.unseal(name, stored) if self._seal else stored:
            yield chunk

    async def _stored(self, name: str) -> AsyncIterator[bytes]:
        expected = self.manifest.files.get(name)
        if expected is None:
            raise FileMissing(name)
        tally = _Tally()
        async for chunk in tally.count(self._place.get(_below(self.manifest.folder, name))):
            if tally.size > expected.size:
                raise Damaged(name, f"is longer than its {expected.size} bytes")
            yield chunk
        found = tally.file()
        if found.size != expected.size:
            raise Damaged(name, f"has {found.size} bytes instead of {expected.size}")
        if found.sha256 != expected.sha256:
            raise Damaged(name, "is not what was written: its SHA-256 differs")


class _Tally:
    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    async def count(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk

    def file(self) -> File:
        return File(size=self.size, sha256=self._hash.hexdigest())


async def _manifest(place: Place) -> tuple[str, bytes]:
    for name in (manifest.SEALED, manifest.PLAIN):
        try:
            return name, await _bounded(place.get(name), name)
        except FileMissing:
            continue
    raise NoBackup(place.name)


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _bounded(chunks: AsyncIterator[bytes], name: str) -> bytes:
    content = bytearray()
    async for chunk in chunks:
        content += chunk
        if len(content) > _LARGEST_MANIFEST:
            raise Damaged(name, f"is longer than {_LARGEST_MANIFEST} bytes")
    return bytes(content)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _sum_line(stored: bytes) -> bytes:
    """As `sha256sum --check` reads it."""
    return f"{manifest.digest(stored).removeprefix('sha256:')}  {manifest.PLAIN}\n".encode()


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
