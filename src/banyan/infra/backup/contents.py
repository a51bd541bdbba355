"""What of a data folder is worth keeping: everything but what is made anew at each start and what is dumped."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePath, PurePosixPath

from banyan.infra.backup import trees
from banyan.infra.settings import Settings

FILES = "files.tar"
OBJECTS = "objects.tar"
ALERT_RULES = "alerts.rules"

_MADE_ANEW = {"run", "logs", "lock", "state.json"}
_APART = {"postgres", "objects"}
# Envoy's own files are made from the route table and name folders and ports of this machine.
_OF_THIS_MACHINE = {"envoy/bootstrap.json", "envoy/cds", "envoy/rds", "envoy/lock"}


def files(settings: Settings) -> AsyncIterator[bytes]:
    """Secrets, what the gateway keeps beside its database, and whatever else lies in the folder."""
    elsewhere = Path(settings.alert_rules) if settings.alert_rules else None
    also = {ALERT_RULES: elsewhere} if elsewhere is not None and elsewhere.is_file() else {}
    apart = _servers_and_logs(settings)

    def wanted(path: PurePosixPath) -> bool:
        return _is_kept(path) and str(path) not in also and settings.data / path not in apart

    return trees.pack(settings.data, wanted, also)


def _servers_and_logs(settings: Settings) -> set[Path]:
    """Where settings put them inside the data folder, a copy of their files would be of no moment."""
    return {Path(given).expanduser().resolve() for given in (settings.wal_archive, settings.replica_folder) if given}


def objects(settings: Settings) -> AsyncIterator[bytes]:
    """With those of an object store that is a folder elsewhere; S3 keeps its own."""
    return trees.pack(settings.objects, _is_whole, dict(_elsewhere(settings)))


def _elsewhere(settings: Settings) -> Iterator[tuple[str, Path]]:
    folder = Path(settings.object_store or settings.objects).expanduser().resolve()
    if settings.object_store.startswith("s3://") or folder.is_relative_to(settings.data):
        return
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and all(map(_is_whole, (name, *name.parents))):
            yield name.as_posix(), path


def _is_whole(path: PurePath) -> bool:
    return not path.name.startswith(".")


def _is_kept(path: PurePosixPath) -> bool:
    top = path.parts[0]
    half_written = path.name.startswith(".")
    return not (half_written or top in _MADE_ANEW | _APART or str(path) in _OF_THIS_MACHINE)
