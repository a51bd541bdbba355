"""Embedded PostgreSQL: Hangul trigrams, walls between roles, secrets."""

import asyncio
import os
import pwd
import signal
import subprocess
import tempfile
from pathlib import Path

import asyncpg
import pytest

from banyan.infra import databases, embedded
from banyan.infra.databases import Server, embedded_url
from banyan.infra.postgres import Database
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.infra.supervisor.probe import postgres_greets


async def test_hangul_has_trigrams(learning_database: Database) -> None:
    async with learning_database.connection() as connection:
        await connection.execute("CREATE EXTENSION pg_trgm")
        assert await connection.fetchval("SELECT similarity('스프링', '스프린')") > 0.3


async def test_a_role_reaches_its_own_database_and_no_other(postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("test", 5599, ("alpha", "beta"))
    await embedded.provide(postgres.settings, server)
    password = secret(postgres.settings.secrets, "postgres-alpha")

    own = await asyncpg.connect(embedded_url(postgres.settings, server, "alpha", "alpha", password))
    assert await own.fetchval("SELECT current_user") == "alpha"
    await own.close()

    for database in ("beta", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(embedded_url(postgres.settings, server, database, "alpha", password))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(embedded_url(postgres.settings, server, "alpha", "alpha", "guess"))


async def test_a_server_whose_postmaster_alone_is_stopped_takes_no_newcomers(postgres) -> None:
    server = Server("test", 5599, ())
    socket = databases.socket_of(postgres.settings, server)
    await postgres_greets(socket)
    postmaster = int((embedded.data_folder(postgres.settings, server) / "postmaster.pid").read_text().split()[0])

    os.kill(postmaster, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(postgres_greets(socket), 0.5)
    finally:
        os.kill(postmaster, signal.SIGCONT)

    await postgres_greets(socket)


@pytest.mark.skipif(os.getuid() != 0, reason="only root has to become somebody else for PostgreSQL")
def test_where_user_namespaces_are_forbidden_root_becomes_nobody_or_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    server = Server("switched", 5598, ())
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        closed = Settings.read({"BANYAN_DATA": f"{folder}/closed/data"})
        Path(folder, "closed").mkdir(mode=0o700)
        with pytest.raises(embedded.EmbeddedPostgresError, match="BANYAN_<CONTEXT>_DATABASE_URL"):
            embedded.privileges(closed)

        Path(folder).chmod(0o755)
        settings = Settings.read({"BANYAN_DATA": f"{folder}/data"})
        settings.make_folders()
        rights = embedded.privileges(settings)
        embedded.initialise(settings, server, rights)

        assert pwd.getpwuid(rights.owner).pw_name == "nobody"
        assert embedded.data_folder(settings, server).stat().st_uid == rights.owner
        settings.make_folders()  # as every process does: it may not shut PostgreSQL out again
        reached = subprocess.run([*rights.prefix, "ls", settings.run / "pg"], check=False)
        assert reached.returncode == 0
        assert settings.run.stat().st_mode & 0o066 == 0
