"""`banyan restore`: a data folder from a backup, on any machine; nothing counts before all of it was checked."""

import asyncio
import dataclasses
import platform
from dataclasses import dataclass
from datetime import datetime, timedelta

from banyan.gateway.adapters import worlds
from banyan.gateway.adapters.files import Files
from banyan.gateway.domain.world import World
from banyan.infra import databases, embedded
from banyan.infra.backup import bases, contents, dumps, trees
from banyan.infra.backup.archive import Reader
from banyan.infra.backup.manifest import Base, Dump, Manifest
from banyan.infra.backup.places import Place
from banyan.infra.backup.progress import Tell, telling
from banyan.infra.backup.target import Target
from banyan.infra.embedded import Privileges
from banyan.infra.settings import Settings
from banyan.kit.errors import Refused
from banyan.messaging import republishing
from banyan.processes.backup import servers_running, stop_on_sigterm

# Events carry the time at which their transaction began, and clocks of two machines differ.
MARGIN = timedelta(minutes=10)


class NoWayToMoment(Refused):
    """A moment is reached from a physical backup through the archived log."""


class OtherKindOfMachine(Refused):
    def __init__(self, machine: str, version: int) -> None:
        super().__init__(
            f"A physical backup is of PostgreSQL {version} on {machine}, and goes back to the same only; this is "
            f"PostgreSQL {dumps.OURS} on {platform.machine()}. A backup without --physical goes anywhere."
        )


@dataclass(frozen=True, slots=True)
class Restored:
    manifest: Manifest
    tables: int
    rows: int
    republished: int


@dataclass(frozen=True, slots=True)
class Checked:
    digest: str
    manifest: Manifest


async def check(place: Place, *, passphrase: str | None, digest: str | None, tell: Tell) -> Checked:
    """Raises NoBackup, Damaged, DigestDiffers, NewerFormat, PassphraseNeeded, PassphraseWrong."""
    try:
        reader = await Reader.open(place, passphrase=passphrase, digest=digest)
        await reader.check(tell)
        return Checked(reader.digest, reader.manifest)
    finally:
        await place.close()


async def restore(
    settings: Settings,
    place: Place,
    *,
    passphrase: str | None,
    digest: str | None,
    moment: datetime | None = None,
    tell: Tell,
) -> Restored:
    """`moment` is where a physical backup and the archived log lead to. Raises TargetNotEmpty, AlreadyRunning,
    NoBackup, Damaged, DigestDiffers, NewerFormat, PassphraseNeeded, PassphraseWrong, RowsDiffer, NoWayToMoment,
    TooEarly, ArchiveTooShort, SettingError."""
    stop_on_sigterm()
    world = worlds.world(settings)  # whatever is wrong with the settings is said before hours of work
    target = Target(settings)
    target.check()
    try:
        reader = await Reader.open(place, passphrase=passphrase, digest=digest)
        tell(f"Checking {place.name} ...")
        _check_moment(settings, reader.manifest, moment)
        await reader.check(tell)
        target.claim()
        # Nothing is archived from the draft; where the old log lies, the settings as given say.
        draft = dataclasses.replace(settings, data=target.draft, wal_archive="")
        await trees.unpack(reader.read(contents.FILES), draft.data, contents.FILES)
        await trees.unpack(reader.read(contents.OBJECTS), draft.objects, contents.OBJECTS)
        draft.make_folders()
        await _lay_out_all(settings, draft, reader, moment, tell)
        async with servers_running(draft, lambda _: None, make=True):
            for dump in reader.manifest.dumps:
                await _fill(draft, reader, dump, tell)
            republished = await _republish(draft, since=(moment or reader.manifest.republish_since) - MARGIN)
        _forget_that_machine(draft, world)
        target.place()
    finally:
        target.leave()
        await place.close()
    tables = [table for dump in reader.manifest.dumps for table in dump.tables.values()]
    return Restored(reader.manifest, len(tables), sum(table.rows for table in tables), republished)


async def _fill(draft: Settings, reader: Reader, dump: Dump, tell: Tell) -> None:
    await dumps.load(draft, dump, telling(dump.database, reader.read(dump.file), tell))
    await dumps.check(draft, dump)
    if dump.foreign and dump.database in republishing.tellers():
        await republishing.let_relay_read(dumps.superuser_url(draft, dump.database))
    rows = sum(table.rows for table in dump.tables.values())
    tell(f"  restored {dump.database:<16} {len(dump.tables):3} tables, {rows:9} rows, as of {dump.at:%F %T}")


def _check_moment(settings: Settings, kept: Manifest, moment: datetime | None) -> None:
    for base in kept.bases:
        if base.server_version != dumps.OURS or kept.machine != platform.machine():
            raise OtherKindOfMachine(kept.machine, base.server_version)
    if moment is None:
        return
    if not kept.bases:
        raise NoWayToMoment("The backup was taken without --physical: no log leads on from it.")
    if not settings.wal_archive:
        raise NoWayToMoment("Say with BANYAN_WAL_ARCHIVE where the archived log is.")
    for base in kept.bases:
        if moment < base.ended_at:
            raise bases.TooEarly(moment, base.ended_at)


async def _lay_out_all(
    settings: Settings, draft: Settings, reader: Reader, moment: datetime | None, tell: Tell
) -> None:
    rights = await asyncio.to_thread(embedded.privileges, draft)
    try:
        async with asyncio.TaskGroup() as tasks:
            for base in reader.manifest.bases:
                tasks.create_task(_lay_out(settings, draft, rights, reader, base, moment, tell))
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None


async def _lay_out(
    settings: Settings,
    draft: Settings,
    rights: Privileges,
    reader: Reader,
    base: Base,
    moment: datetime | None,
    tell: Tell,
) -> None:
    """A server's files as they were copied, and from there to the moment."""
    server = next(server for server in databases.SERVERS if server.name == base.server)
    folder = embedded.data_folder(draft, server)
    await trees.unpack(telling(base.server, reader.read(base.file), tell), folder, base.file)
    await bases.check(folder, base.file)
    await bases.recover(draft, server, base, rights, archive=settings, moment=moment)
    tell(f"  restored {base.server:<16} every file as copied, as of {moment or base.ended_at:%F %T %Z}")


async def _republish(draft: Settings, *, since: datetime) -> int:
    urls = [dumps.superuser_url(draft, name) for name in republishing.tellers()]
    return sum([await republishing.republish(url, since=since) for url in urls])


def _forget_that_machine(draft: Settings, world: World) -> None:
    """What is served names folders and ports; the routes stay, the rest is what this machine's settings say."""
    files = Files(draft.data / "envoy")
    served = files.load()
    if served is not None:
        files.save(dataclasses.replace(served, version="", world=world))
