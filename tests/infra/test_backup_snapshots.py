"""Dumps and counts of one moment, and a database at a URL of its own."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from banyan.infra import databases, embedded, migrations
from banyan.infra.backup import manifest, programs
from banyan.infra.backup.places import Folder
from banyan.infra.backup.programs import ProgramFailed, ProgramTooOld
from banyan.infra.backup.snapshots import DatabaseNotRead, Snapshot, Source, tables_of
from banyan.infra.embedded import EmbeddedPostgresError
from banyan.infra.postgres import Database, DatabaseAway
from banyan.infra.settings import Settings
from banyan.processes.backup import ForeignServer, InDataFolder, NothingToKeep, backup, servers_running
from banyan.processes.restore import restore
from tests.conftest import Postgres

ADD = "INSERT INTO event (id, type, key, data, at) VALUES (uuidv7(), 'banyan.a.b.v1', 'k', '{}', now())"


async def test_counts_and_dump_are_of_the_same_moment_however_much_is_written_meanwhile(postgres: Postgres) -> None:
    name, copy = await postgres.make_database(), await postgres.make_database()
    database = Database(postgres.url(name), size=2)
    await migrations.migrate(database, "learning")
    await database.fetch(ADD)
    await database.fetch("INSERT INTO relay_rest (resting) VALUES (false)")
    day = await database.fetchval("SELECT tableoid::regclass::text FROM event")

    snapshot = await Snapshot.open(Source("learning", postgres.url(name), foreign=False))
    await database.fetch(ADD)
    dumped = [piece async for piece in snapshot.dump()]
    with pytest.raises(DatabaseAway):  # as a day is dropped when it has become old
        await drop(database, day)
    tables = await snapshot.tables()
    snapshot.close()

    dsn, environ = programs.connection(postgres.url(copy))
    await programs.feed([str(embedded.binary("pg_restore")), f"--dbname={dsn}"], environ, _pieces(dumped))
    assert tables[f"public.{day}"].rows == 1
    assert await tables_of(postgres.url(copy)) == tables
    assert (await tables_of(postgres.url(name)))[f"public.{day}"].rows == 2
    restored = await asyncpg.connect(postgres.url(copy))
    assert await restored.fetchval("SELECT count(*) FROM event") == 1
    assert await restored.fetchval("SELECT make_event_day((now() + interval '9 days')::date)")
    assert await restored.fetchval("SELECT count(*) FROM relay_rest") == 0
    await restored.close()
    await database.close()


async def drop(database: Database, day: str) -> None:
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL lock_timeout = '100ms'")
        await tx.execute(f"DROP TABLE {day}")


async def test_one_row_that_differs_changes_its_tables_checksum(postgres: Postgres) -> None:
    url = postgres.url(await postgres.make_database())
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (2, 'y')")
    before = await tables_of(url)
    await connection.execute("UPDATE t SET b = 'z' WHERE b = 'x'")
    changed = await tables_of(url)
    await connection.execute("TRUNCATE t; INSERT INTO t VALUES (2, 'y'), (1, 'x'), (2, 'y')")
    again = await tables_of(url)
    await connection.close()

    assert before["public.t"].rows == changed["public.t"].rows == 3
    assert before != changed
    assert before == again


async def test_a_database_at_a_url_of_its_own_is_kept_and_becomes_an_embedded_one(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.url(await postgres.make_database())
    foreign = Database(url, size=1)
    await migrations.migrate(foreign, "learning")
    await foreign.fetch(ADD)
    await foreign.close()
    settings = Settings.read({"BANYAN_DATA": str(tmp_path / "data")})
    settings.make_folders()
    monkeypatch.setenv("BANYAN_LEARNING_DATABASE_URL", url)
    async with servers_running(settings, print, make=True):
        pass
    taken = await backup(settings, Folder(tmp_path / "kept"), passphrase=None, tell=print)
    monkeypatch.delenv("BANYAN_LEARNING_DATABASE_URL")

    restored = Settings.read({"BANYAN_DATA": str(tmp_path / "restored")})
    told = await restore(restored, Folder(tmp_path / "kept"), passphrase=None, digest=taken.digest, tell=print)

    assert [dump.database for dump in told.manifest.dumps if dump.foreign] == ["learning"]
    assert told.republished == 1
    async with servers_running(restored, print):
        relay = await asyncpg.connect(databases.relay_url(restored, "learning"))
        assert await relay.fetchval("SELECT count(*) FROM event") == 1
        assert await relay.fetchval("DELETE FROM outbox RETURNING 1") == 1
        await relay.close()
    written = (tmp_path / "kept" / manifest.PLAIN).read_text()
    assert url not in written


async def test_a_physical_copy_of_a_server_that_is_not_ours_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path / "data")})
    settings.make_folders()
    monkeypatch.setenv("BANYAN_LEARNING_DATABASE_URL", "postgresql://learning@db/learning")

    with pytest.raises(ForeignServer, match="learning"):
        await backup(settings, Folder(tmp_path / "kept"), passphrase=None, physical=True, tell=print)
    assert not (tmp_path / "kept").exists()


async def test_a_backup_inside_what_it_keeps_is_refused(tmp_path: Path) -> None:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path / "data")})
    settings.make_folders()
    (tmp_path / "way").symlink_to(tmp_path / "data")

    for inside in (settings.data / "kept", tmp_path / "way" / "objects" / "kept"):
        with pytest.raises(InDataFolder):
            await backup(settings, Folder(inside), passphrase=None, tell=print)
    assert not list(tmp_path.rglob("*kept*"))


async def test_an_empty_server_is_not_kept_in_place_of_a_lost_one_and_its_replica_is_named(tmp_path: Path) -> None:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path / "data")})
    settings.make_folders()
    with pytest.raises(NothingToKeep):
        await backup(settings, Folder(tmp_path / "kept"), passphrase=None, tell=print)
    (settings.data / "postgres/front.replica").mkdir(parents=True)
    (settings.data / "postgres/front.replica/PG_VERSION").touch()

    with pytest.raises(EmbeddedPostgresError, match="banyan db promote front"):
        await backup(settings, Folder(tmp_path / "kept"), passphrase=None, tell=print)
    assert not (tmp_path / "kept").exists()


async def test_a_server_that_is_away_is_named(postgres: Postgres) -> None:
    gone = postgres.url("no_such_database")

    with pytest.raises(DatabaseNotRead, match="learning"):
        await Snapshot.open(Source("learning", gone, foreign=True))


def test_a_pg_dump_older_than_the_server_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.4'\n")
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert programs.for_server("pg_dump", "learning", 15, foreign=True) == old
    assert programs.for_server("pg_dump", "learning", 18, foreign=True) == embedded.binary("pg_dump")
    with pytest.raises(ProgramTooOld, match="Install PostgreSQL 99"):
        programs.for_server("pg_dump", "learning", 99, foreign=True)


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:se%23cret@db:5432/learning?sslmode=require", "postgres://me@db/learning?password=se%23cret"],
)
def test_a_password_is_in_no_command_line(url: str) -> None:
    bare, environ = programs.connection(url)

    assert "cret" not in bare
    assert environ == {"PGPASSWORD": "se#cret"}
    assert bare.startswith("postgresql://me@db")


async def test_a_program_that_fails_says_why_and_one_nobody_reads_is_ended(postgres: Postgres) -> None:
    dsn, environ = programs.connection(postgres.url("no_such_database"))
    with pytest.raises(ProgramFailed, match=r"pg_dump failed: .*no_such_database"):
        await anext(programs.output([str(embedded.binary("pg_dump")), f"--dbname={dsn}"], environ))

    endless = programs.output(["yes"], {})
    await anext(endless)
    await asyncio.sleep(0.3)  # by now both its pipe and our buffer are full
    await asyncio.wait_for(endless.aclose(), 5)


async def _pieces(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
