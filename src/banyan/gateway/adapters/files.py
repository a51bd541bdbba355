"""The files Envoy reads, and what they were made from; written so that a crash leaves the old or the new one."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from banyan.gateway.domain import identities
from banyan.gateway.domain.routes import Route
from banyan.gateway.domain.snapshot import Snapshot, content_version
from banyan.gateway.domain.world import Config, World, typed
from banyan.kit.errors import Unavailable

_TURN_SECONDS = 0.02
_FOLDERS = ("cds", "rds", identities.TOKENS, identities.ENDED)


class FilesLocked(Unavailable):
    """Another process is changing the gateway's files; nothing was changed here. Try again in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the files were made from."""

    version: str
    routes: tuple[Route, ...]
    world: World


class Files:
    """A folder with `bootstrap.json`, `cds/`, `rds/`, `table.json` and, while it is on, the kill switch's marker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clusters = folder / "cds" / "clusters.json"
        self._routes = folder / "rds" / "routes.json"
        self._table = folder / "table.json"
        self._marker = folder / "kill-switch"
        self._lock = folder / "lock"
        self.bootstrap = folder / "bootstrap.json"
        self._held: int | None = None

    def make_folders(self) -> None:
        for folder in (self._folder, *(self._folder / part for part in _FOLDERS)):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextlib.asynccontextmanager
    async def locked(self, *, patience: float = 60.0, force: bool = False) -> AsyncIterator[None]:
        """One writer at a time, the command line included. Raises FilesLocked when `patience` is over; with `force`
        the lock is taken from its holder then, who has hung in the middle of a change."""
        self.make_folders()
        descriptor = None
        for _ in range(round(patience / _TURN_SECONDS)):
            descriptor = self._try_lock()
            if descriptor is not None:
                break
            await asyncio.sleep(_TURN_SECONDS)
        if descriptor is None and force:
            self._lock.unlink(missing_ok=True)
            descriptor = self._try_lock()
        if descriptor is None:
            raise FilesLocked
        self._held = descriptor
        try:
            yield
        finally:
            self._held = None
            os.close(descriptor)  # gives the lock back, too

    def _try_lock(self) -> int | None:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Somebody may have taken the lock by force: then this file is no longer the one that counts.
            if os.fstat(descriptor).st_ino == self._lock.stat().st_ino:
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None

    def _write(self, path: Path, content: bytes) -> None:
        """Raises FilesLocked when the lock was taken from us: whoever comes out of a long sleep in the middle of a
        change must not undo what was done meanwhile, such as the kill switch."""
        self._check_lock()
        write(path, content)

    def _check_lock(self) -> None:
        if self._held is None:
            return
        try:
            if os.fstat(self._held).st_ino == self._lock.stat().st_ino:
                return
        except FileNotFoundError:
            pass
        raise FilesLocked

    def remove_leavings(self) -> None:
        """What a killed process left behind."""
        for pattern in (".validate-*", ".*.tmp", "*/.*.tmp"):
            for file in self._folder.glob(pattern):
                file.unlink(missing_ok=True)

    def kill_switch_is_on(self) -> bool:
        return self._marker.exists()

    def set_kill_switch(self, on: bool) -> None:
        if on:
            self._write(self._marker, b"Every route with an old twin goes to the old site.\n")
        else:
            self._check_lock()
            self._marker.unlink(missing_ok=True)
            _sync_folder(self._folder)

    def load(self) -> Served | None:
        """What was last served; None before the first time, or if the file cannot be read as such."""
        try:
            return msgspec.json.decode(self._table.read_bytes(), type=Served)
        except (FileNotFoundError, UnicodeDecodeError, msgspec.DecodeError):
            return None

    def save(self, served: Served) -> None:
        self._write(self._table, msgspec.json.format(msgspec.json.encode(served)))

    def write_bootstrap(self, bootstrap: Config) -> None:
        self._write(self.bootstrap, msgspec.json.encode(bootstrap))

    def clusters(self) -> list[Config]:
        """The clusters that Envoy has been given; none where the file is missing or broken."""
        try:
            document = msgspec.json.decode(self._clusters.read_bytes())
            return [{key: value for key, value in found.items() if key != "@type"} for found in document["resources"]]
        except (FileNotFoundError, UnicodeDecodeError, msgspec.DecodeError, KeyError, TypeError, AttributeError):
            return []

    def write_clusters(self, clusters: Sequence[Config]) -> str:
        """Returns the version Envoy will tell when it has them."""
        version = content_version(clusters)
        resources = [typed("config.cluster.v3.Cluster", **cluster) for cluster in clusters]
        self._write(self._clusters, document(version, resources))
        return version

    def write_routes(self, snapshot: Snapshot) -> str:
        """Returns the version Envoy will tell when it serves them."""
        resource = typed("config.route.v3.RouteConfiguration", **snapshot.routes)
        self._write(self._routes, document(snapshot.version, [resource]))
        return snapshot.version

    def copy(self) -> tuple[bytes | None, bytes | None]:
        """Clusters and routes as they are on disk, for `restore`."""
        return _read(self._clusters), _read(self._routes)

    def restore_clusters(self, text: bytes | None) -> None:
        if text is not None:
            self._write(self._clusters, text)

    def restore_routes(self, text: bytes | None) -> None:
        if text is not None:
            self._write(self._routes, text)


def document(version: str, resources: list[Config]) -> bytes:
    """Resources as Envoy reads them from a file."""
    return msgspec.json.encode({"version_info": version, "resources": resources})


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write(path: Path, content: bytes) -> None:
    """Whoever reads the file finds what it was or what it is, whatever happens meanwhile."""
    draft = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
