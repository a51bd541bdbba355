"""`banyan restore`: a data folder from a backup, on any machine; nothing counts before all of it was checked."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from banyan.gateway.adapters import worlds
from banyan.gateway.adapters.files import Files
from banyan.infra.backup import contents, dumps, trees
from banyan.infra.backup.archive import Reader
from banyan.infra.backup.manifest import Dump, Manifest
from banyan.infra.backup.places import Place
from banyan.infra.backup.target import Target
from banyan.infra.settings import Settings
from banyan.messaging import republishing
from banyan.processes.backup import Tell, servers_running, stop_on_sigterm

# Events carry the time at which their transaction began, and clocks of two machines differ.
MARGIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Restored:
    manifest: Manifest
    tables: int
    rows: int
    republished: int


async def restore(
    settings: Settings, place: Place, *, passphrase: str | None, digest: str | None, tell: Tell
) -> Restored:
    """Raises TargetNotEmpty, AlreadyRunning, NoBackup, Damaged, DigestDiffers, NewerFormat, PassphraseNeeded,
    PassphraseWrong, RowsDiffer."""
    os.umask(0o077)
    stop_on_sigterm()
    target = Target(settings)
    target.check()
    try:
        reader = await Reader.open(place, passphrase=passphrase, digest=digest)
        tell(f"Checking {place.name} ...")
        await reader.check()
        target.claim()
        draft = dataclasses.replace(settings, data=target.draft)
        await trees.unpack(reader.read(contents.FILES), draft.data, contents.FILES)
        await trees.unpack(reader.read(contents.OBJECTS), draft.objects, contents.OBJECTS)
        draft.make_folders()
        async with servers_running(draft, lambda _: None):
            for dump in reader.manifest.dumps:
                await _fill(draft, reader, dump, tell)
            republished = await _republish(draft, reader.manifest)
        _forget_this_machine(settings, draft)
        target.place()
    finally:
        target.leave()
        await place.close()
    tables = [table for dump in reader.manifest.dumps for table in dump.tables.values()]
    return Restored(reader.manifest, len(tables), sum(table.rows for table in tables), republished)


async def _fill(draft: Settings, reader: Reader, dump: Dump, tell: Tell) -> None:
    await dumps.load(draft, dump, reader.read(dump.file))
    await dumps.check(draft, dump)
    if dump.foreign and republishing.tells(dump.database):
        await republishing.let_relay_read(dumps.superuser_url(draft, dump.database))
    rows = sum(table.rows for table in dump.tables.values())
    tell(f"  restored {dump.database:<16} {len(dump.tables):3} tables, {rows:9} rows, as of {dump.at:%F %T}")


async def _republish(draft: Settings, kept: Manifest) -> int:
    since = kept.republish_since - MARGIN
    told: Sequence[str] = [dump.database for dump in kept.dumps if republishing.tells(dump.database)]
    return sum([await republishing.republish(dumps.superuser_url(draft, name), since=since) for name in told])


def _forget_this_machine(settings: Settings, draft: Settings) -> None:
    """What is served names folders and ports; the routes stay, the rest is what this machine's settings say."""
    files = Files(draft.data / "envoy")
    served = files.load()
    if served is not None:
        files.save(dataclasses.replace(served, version="", world=worlds.world(settings)))
