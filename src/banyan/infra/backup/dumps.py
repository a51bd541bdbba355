"""A dump back into an embedded server, and whether its rows are those of the snapshot."""

from collections.abc import AsyncIterator

import asyncpg

from banyan.infra import databases, embedded
from banyan.infra.backup import programs, snapshots
from banyan.infra.backup.manifest import Dump
from banyan.infra.postgres import CONNECT_TIMEOUT
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.kit.errors import Refused

OURS = 18


class RowsDiffer(Refused):
    def __init__(self, database: str, tables: list[str]) -> None:
        super().__init__(
            f"What was restored into {database} is not what the backup's snapshot says: {', '.join(tables)} differ."
        )


class MadeByNewerServer(Refused):
    def __init__(self, database: str, version: int) -> None:
        super().__init__(f"{database} was kept from PostgreSQL {version}; the one here is {OURS}.")


def superuser_url(settings: Settings, database: str) -> str:
    server = databases.server_of(database)
    password = secret(settings.secrets, f"postgres-{server.name}-superuser")
    return databases.embedded_url(settings, server, database, embedded.SUPERUSER, password)


async def load(settings: Settings, dump: Dump, chunks: AsyncIterator[bytes]) -> None:
    """Fill a database that is there and empty. Raises MadeByNewerServer, ProgramFailed."""
    if dump.server_version > OURS:
        raise MadeByNewerServer(dump.database, dump.server_version)
    dsn, environ = programs.connection(superuser_url(settings, dump.database))
    command = [str(embedded.binary("pg_restore")), "--exit-on-error", "--no-password", f"--dbname={dsn}"]
    if dump.foreign:  # roles there are not the roles here
        command += ["--no-owner", "--no-privileges", f"--role={dump.database}"]
    await programs.feed(command, environ, chunks)
    await _execute(settings, dump.database, "ANALYZE")


async def check(settings: Settings, dump: Dump) -> None:
    """Raises RowsDiffer unless every table has the rows that the snapshot had."""
    found = await snapshots.tables_of(superuser_url(settings, dump.database))
    names = sorted({*found, *dump.tables})
    differing = [name for name in names if found.get(name) != dump.tables.get(name)]
    if differing:
        raise RowsDiffer(dump.database, differing)


async def _execute(settings: Settings, database: str, sql: str) -> None:
    connection = await asyncpg.connect(superuser_url(settings, database), timeout=CONNECT_TIMEOUT)
    try:
        await connection.execute(sql)
    finally:
        await connection.close(timeout=5)
