"""A context on somebody else's PostgreSQL, by its URL, as docs/guides/another-database.md says."""

import asyncio
import json
import urllib.request

import asyncpg

from banyan.infra import databases
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from tests.conftest import Postgres
from tests.journeys.front_door import banyan_up


def test_a_context_lives_on_a_foreign_server_and_its_embedded_database_stays_empty(postgres: Postgres) -> None:
    url = postgres.url(asyncio.run(postgres.make_database()))

    with banyan_up("--demo", environ={"BANYAN_LEARNING_DATABASE_URL": url}) as door:
        with urllib.request.urlopen(f"{door.url}/_banyan/api/v1/courses?limit=1") as answer:
            served = json.load(answer)
        settings = Settings.read({"BANYAN_DATA": str(door.data)})
        password = secret(settings.secrets, "postgres-learning")
        server = databases.server_of("learning")
        embedded = databases.embedded_url(settings, server, "learning", "learning", password)

        assert served["total"] == 300
        assert asyncio.run(count(url)) == 300
        assert asyncio.run(tables(embedded)) == []


async def count(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        found: int = await connection.fetchval("SELECT count(*) FROM course")
        return found
    finally:
        await connection.close()


async def tables(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return [row["tablename"] for row in rows]
    finally:
        await connection.close()
