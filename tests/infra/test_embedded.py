"""Embedded PostgreSQL: Hangul trigrams, walls between roles, secrets."""

import asyncpg
import pytest

from banyan.infra import embedded
from banyan.infra.databases import Server, embedded_url
from banyan.infra.postgres import Database
from banyan.infra.secrets import secret


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
