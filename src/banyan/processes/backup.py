"""`banyan backup`: every database as of one snapshot each, files, secrets and objects, whether or not Banyan runs."""

import asyncio
import contextlib
import platform
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from banyan import __version__
from banyan.infra import databases, embedded
from banyan.infra.backup import bases as bases_of
from banyan.infra.backup import contents, dumps, manifest, snapshots
from banyan.infra.backup.archive import Writer
from banyan.infra.backup.manifest import Base, Dump, Manifest
from banyan.infra.backup.places import Folder, Place
from banyan.infra.backup.progress import Tell, telling
from banyan.infra.backup.snapshots import Snapshot, Source
from banyan.infra.databases import SERVERS, Server
from banyan.infra.replicas import folders
from banyan.infra.settings import Settings
from banyan.infra.supervisor import probe, state
from banyan.infra.supervisor.supervisor import Supervisor
from banyan.kit.errors import NotFound, Refused, Unavailable
from banyan.messaging import republishing
from banyan.processes import postgres


class NothingToKeep(NotFound):
    def __init__(self, settings: Settings) -> None:
        super().__init__(f"There is no Banyan in {settings.data}. Name its folder with --data.")


class InDataFolder(Refused):
    """A backup inside the data folder is lost with it, and each would hold the one before. Name another place."""


class ForeignServer(Refused):
    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(names)} live at URLs of their own, and a physical copy is of embedded servers only. Whoever "
            "runs those servers can go back to a moment of theirs; leave --physical out to keep a dump of everything."
        )


class ServersAway(Unavailable):
    def __init__(self, settings: Settings, names: Sequence[str]) -> None:
        super().__init__(f"{', '.join(names)} did not start; see {settings.logs}.")


@dataclass(frozen=True, slots=True)
class Taken:
    digest: str
    manifest: Manifest

    @property
    def size(self) -> int:
        return sum(file.size for file in self.manifest.files.values())


async def backup(
    settings: Settings, place: Place, *, passphrase: str | None, physical: bool = False, tell: Tell
) -> Taken:
    """`physical` keeps the embedded servers file by file, from where an archived log leads to any later moment.

    Raises NothingToKeep, InDataFolder, ForeignServer, PlaceTaken, NoRoom, DatabaseNotRead, ProgramTooOld,
    ProgramFailed, AlreadyRunning."""
    if not settings.secrets.is_dir():
        raise NothingToKeep(settings)
    if isinstance(place, Folder) and place.is_below(settings.data):
        raise InDataFolder
    foreign = [name for name in _known() if databases.foreign_url(name)]
    if physical and foreign:
        raise ForeignServer(foreign)
    stop_on_sigterm()
    try:
        await place.begin()
        async with servers_running(settings, tell):
            return await _take(settings, Writer(place, passphrase), physical=physical, tell=tell)
    except BaseException:
        # A second Ctrl-C may not leave half a backup either.
        await asyncio.shield(place.abandon())
        raise
    finally:
        await place.close()


async def _take(settings: Settings, writer: Writer, *, physical: bool, tell: Tell) -> Taken:
    begun_at = datetime.now(UTC)
    sources = _sources(settings)
    since = await _unpublished_since(sources, begun_at)
    made: list[Dump] = []
    bases: list[Base] = []
    if physical:
        for server in _servers_in_order(sources):
            bases.append(await _copy(settings, server, writer, tell))
    else:
        async with _opened(sources) as opened:
            for snapshot in opened:
                made.append(await _keep(snapshot, writer, tell))
    # After the snapshots: whatever a row names was there before the row.
    for name, chunks in ((contents.FILES, contents.files(settings)), (contents.OBJECTS, contents.objects(settings))):
        started = time.monotonic()
        file = await writer.add(name, telling(name, chunks, tell))
        tell(_line(name, file.size, started))
    content = Manifest(
        format=manifest.FORMAT,
        kind="physical" if physical else "logical",
        banyan=__version__,
        machine=platform.machine(),
        begun_at=begun_at,
        ended_at=datetime.now(UTC),
        republish_since=since,
        folder=writer.folder,
        dumps=made,
        bases=bases,
        files=writer.files,
    )
    return Taken(await writer.finish(content), content)


def _known() -> list[str]:
    return [name for server in SERVERS for name in server.databases]


def _sources(settings: Settings) -> list[Source]:
    sources = []
    for name in republishing.keeping_order(_known()):
        foreign = databases.foreign_url(name)
        sources.append(Source(name, foreign or dumps.superuser_url(settings, name), foreign is not None))
    return sources


async def _unpublished_since(sources: Sequence[Source], begun_at: datetime) -> datetime:
    """Asked before the first snapshot: what is relayed from now on may be missing in the bus's."""
    found = [begun_at]
    for source in sources:
        if source.database in republishing.tellers():
            with snapshots.reading(source.database):
                oldest = await republishing.oldest_unpublished(source.url)
            found += [oldest] if oldest is not None else []
    return min(found)


@asynccontextmanager
async def _opened(sources: Sequence[Source]) -> AsyncIterator[list[Snapshot]]:
    """All snapshots within milliseconds, one after the other in the order of the sources."""
    opened: list[Snapshot] = []
    try:
        for source in sources:
            opened.append(await Snapshot.open(source))
        yield opened
    finally:
        for snapshot in opened:
            snapshot.close()


async def _keep(snapshot: Snapshot, writer: Writer, tell: Tell) -> Dump:
    started = time.monotonic()
    name = f"databases/{snapshot.source.database}.dump"
    file = await writer.add(name, telling(snapshot.source.database, snapshot.dump(), tell))
    tables = await snapshot.tables()
    snapshot.close()
    tell(_line(snapshot.source.database, file.size, started))
    return Dump(
        database=snapshot.source.database,
        file=name,
        server_version=snapshot.server_version,
        foreign=snapshot.source.foreign,
        at=snapshot.at,
        lsn=snapshot.lsn,
        tables=tables,
    )


def _servers_in_order(sources: Sequence[Source]) -> list[Server]:
    """A server's turn is when its last database's would be."""
    place = {source.database: number for number, source in enumerate(sources)}
    return sorted(SERVERS, key=lambda server: max(place[name] for name in server.databases))


async def _copy(settings: Settings, server: Server, writer: Writer, tell: Tell) -> Base:
    started = time.monotonic()
    name = f"servers/{server.name}.tar.gz"
    url = dumps.superuser_url(settings, server.databases[0])
    with snapshots.reading(server.name):
        begun = await bases_of.identity(url)
        file = await writer.add(name, telling(server.name, bases_of.stream(url), tell))
        ended = await bases_of.identity(url)
    tell(_line(server.name, file.size, started))
    return Base(
        server=server.name,
        file=name,
        system=begun.system,
        server_version=begun.server_version,
        begun_at=begun.at,
        ended_at=ended.at,
    )


def _line(name: str, size: int, started: float) -> str:
    return f"  kept     {name:<16} {size / 1e6:8.1f} MB {time.monotonic() - started:5.1f} s"


@asynccontextmanager
async def servers_running(settings: Settings, tell: Tell, *, make: bool = False) -> AsyncIterator[None]:
    """The embedded servers answer in the block: those that run already, else ones of its own, which end with it.
    With `make` all of them, and those that are not there are made."""
    needed = [server for server in SERVERS if make or not all(map(databases.foreign_url, server.databases))]
    if not needed or state.read_living(settings) is not None:
        yield
        return
    # By `banyan run`: then those are used, and a supervisor beside them would take their sockets away.
    if not make and await asyncio.to_thread(probe.anybody_listens, settings.run):
        yield
        return
    tell("Banyan does not run; its databases are started for this.")
    rights = await asyncio.to_thread(embedded.privileges, settings)
    settings.make_folders()
    async with Supervisor(settings, _Quiet(tell)) as supervisor:
        for server in needed:
            there = (embedded.data_folder(settings, server) / "PG_VERSION").is_file()
            if not (make or there or folders.is_lost(settings, server)):
                raise NothingToKeep(settings)  # an empty server in its place would pass for the lost one
            await asyncio.to_thread(embedded.initialise, settings, server, rights)
        await supervisor.start(
            [postgres.spec(settings, server, rights) for server in needed], wait=settings.ready_timeout
        )
        with _cancelled_when_asked(supervisor):
            if supervisor.stop_asked:
                raise asyncio.CancelledError
            away = [name for name, child in supervisor.children.items() if not child.first_ready.is_set()]
            if away:
                raise ServersAway(settings, away)
            yield


def stop_on_sigterm() -> None:
    """As Ctrl-C does: what is under way is cancelled and cleared away."""
    working = asyncio.current_task()
    if working is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)


@contextlib.contextmanager
def _cancelled_when_asked(supervisor: Supervisor) -> Iterator[None]:
    """The supervisor has the signals; a stop of it is a stop of what is under way."""
    working = asyncio.current_task()

    async def watch() -> None:
        await supervisor.wait_for_stop()
        if working is not None:
            working.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


class _Quiet:
    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def ready(self, name: str, seconds: float) -> None:
        return None

    def trouble(self, name: str, detail: str) -> None:
        self._tell(f"  TROUBLE  {name:<16} {detail}")

    def say(self, text: str) -> None:
        return None
