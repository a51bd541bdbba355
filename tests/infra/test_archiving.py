"""The archive of PostgreSQL's log: whole segments only, nothing lost while it cannot be written, and said so."""

import asyncio
import gzip
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from banyan.infra import archiving, embedded
from banyan.infra.databases import Server
from banyan.infra.settings import Settings
from banyan.processes.archiving import Look

SERVER = Server("archived", 5597, ())


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """Of a running server whose archive cannot be written: a file is where its folder should be."""
    (tmp_path / "it's 100%").write_text("in the way")
    told = Settings.read({"BANYAN_DATA": str(tmp_path / "data"), "BANYAN_WAL_ARCHIVE": str(tmp_path / "it's 100%")})
    told.make_folders()
    rights = embedded.privileges(told)
    embedded.initialise(told, SERVER, rights)
    with (tmp_path / "log").open("wb") as log:
        command = embedded.command(told, SERVER, rights)
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, cwd="/")
    try:
        yield told
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


async def connected(settings: Settings) -> "asyncpg.Connection[asyncpg.Record]":
    for _ in range(600):
        try:
            return await embedded.connect(settings, SERVER)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            await asyncio.sleep(0.1)
    raise AssertionError("the server does not answer")


async def test_an_archive_that_cannot_be_written_loses_nothing_is_told_and_catches_up(settings: Settings) -> None:
    connection = await connected(settings)
    look = Look(settings, SERVER)
    before = await connection.fetchval("SELECT pg_current_wal_lsn()")
    segment = await connection.fetchval("SELECT pg_walfile_name(pg_switch_wal())")

    stuck_at = await eventually(look, lambda found: found is not None)
    assert stuck_at == segment
    assert await connection.fetchval("SELECT pg_current_wal_lsn() > $1", before)  # it looks, and leaves a sign of time
    data = embedded.data_folder(settings, SERVER)
    content = (data / "pg_wal" / segment).read_bytes()

    Path(settings.wal_archive).unlink()
    archiving.prepare(settings, SERVER.name, data, embedded.privileges(settings).owner)
    folder = archiving.folder(settings, SERVER.name, archiving.system_of(data))
    (folder / f".{segment}").write_bytes(b"half of it, from before a crash")
    await connection.fetchval("SELECT pg_switch_wal()")
    await eventually(look, lambda found: found is None)

    assert gzip.decompress((folder / f"{segment}.gz").read_bytes()) == content
    assert not (folder / f".{segment}").exists()
    look.end()
    await connection.close()


async def test_what_is_in_the_archive_is_never_written_over(settings: Settings) -> None:
    connection = await connected(settings)
    Path(settings.wal_archive).unlink()
    data = embedded.data_folder(settings, SERVER)
    archiving.prepare(settings, SERVER.name, data, embedded.privileges(settings).owner)
    folder = archiving.folder(settings, SERVER.name, archiving.system_of(data))
    segment = await connection.fetchval("SELECT pg_walfile_name(pg_current_wal_lsn())")
    foreign = gzip.compress(b"another's")
    (folder / f"{segment}.gz").write_bytes(foreign)

    await connection.execute("SELECT pg_switch_wal()")

    look = Look(settings, SERVER)
    assert await eventually(look, lambda found: found is not None) == segment
    assert (folder / f"{segment}.gz").read_bytes() == foreign
    look.end()
    await connection.close()


async def eventually(look: Look, right: Callable[[str | None], bool]) -> str | None:
    for _ in range(900):
        found = await look()
        if right(found):
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"it goes on saying {found!r}")
