"""One database as it was at one moment: its dump, and the count and hash of every table's rows of that same moment."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from banyan.infra.backup import programs
from banyan.infra.backup.manifest import Table
from banyan.infra.postgres import CONNECT_TIMEOUT, LOST, Row
from banyan.kit.errors import Refused, Unavailable

# Rows are hashed as text, so everything that decides how values are written is fixed here.
_SESSION = {
    "application_name": "banyan-backup",
    "statement_timeout": "0",
    "lock_timeout": "30000",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "iso_8601",
    "bytea_output": "hex",
    "extra_float_digits": "3",
    "search_path": "pg_catalog",
    "row_security": "off",
}

# Those that no crash keeps are worth nothing in a backup, and a standby cannot even read them.
_TABLES = """
SELECT format('%I.%I', nspname, relname) AS name
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'r' AND relpersistence = 'p' AND nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
)
ORDER BY nspname, relname
"""

# Their parts may be dropped when they have become old.
_PARTED = """
SELECT format('%I.%I', nspname, relname) AS name FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind = 'p' ORDER BY nspname, relname
"""

_SUM = """
SELECT count(*) AS rows, coalesce(sum(('x' || left(hash, 16))::bit(64)::bigint::numeric), 0) AS high,
    coalesce(sum(('x' || right(hash, 16))::bit(64)::bigint::numeric), 0) AS low
FROM (SELECT md5(row_of::text) AS hash FROM ONLY {table} AS row_of) AS hashed
"""


class DatabaseNotRead(Unavailable):
    def __init__(self, database: str, fault: BaseException) -> None:
        super().__init__(f"The database {database} cannot be read just now: {fault or type(fault).__name__}.")


@contextmanager
def reading(database: str) -> Iterator[None]:
    """Raises DatabaseNotRead for whatever goes wrong between us and a server."""
    try:
        yield
    except LOST as fault:
        raise DatabaseNotRead(database, fault) from fault


@dataclass(frozen=True, slots=True)
class Source:
    """A database to be kept; `foreign` is one at a URL of its own."""

    database: str
    url: str
    foreign: bool


class Snapshot:
    """Open from `open` to `close`; everything read in between is of the same moment."""

    def __init__(self, source: Source, connection: "asyncpg.Connection[Row]", moment: Row) -> None:
        self.source = source
        self.at: datetime = moment["at"]
        self.lsn = str(moment["lsn"])
        self.server_version = connection.get_server_version().major
        self._name = str(moment["snapshot"])
        self._connection = connection

    @classmethod
    async def open(cls, source: Source) -> "Snapshot":
        """Raises DatabaseNotRead, ProgramTooOld."""
        with reading(source.database):
            connection = await asyncio.wait_for(
                asyncpg.connect(source.url, timeout=CONNECT_TIMEOUT, server_settings=_SESSION), CONNECT_TIMEOUT + 2
            )
            try:
                parted = [row["name"] for row in await connection.fetch(_PARTED)]
                await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                for name in parted:
                    await connection.execute(f"LOCK TABLE {name} IN ACCESS SHARE MODE")
                # The position is of a moment before the snapshot's at most, never after.
                moment = await connection.fetchrow(
                    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END"
                    " AS lsn, pg_export_snapshot() AS snapshot, clock_timestamp() AS at"
                )
            except BaseException:
                connection.terminate()
                raise
        if moment is None:
            raise Refused(f"{source.database} gave no snapshot.")
        return cls(source, connection, moment)

    async def dump(self) -> AsyncIterator[bytes]:
        """As `pg_restore` reads it. Raises ProgramFailed, ProgramTooOld."""
        source = self.source
        program = programs.for_server("pg_dump", source.database, self.server_version, foreign=source.foreign)
        dsn, environ = programs.connection(source.url)
        command = [str(program), "--format=custom", "--no-password", f"--snapshot={self._name}", f"--dbname={dsn}"]
        command += ["--compress=gzip:1", "--lock-wait-timeout=30s", "--no-unlogged-table-data"]
        async for piece in programs.output(command, environ):
            yield piece

    async def tables(self) -> dict[str, Table]:
        """Raises DatabaseNotRead."""
        with reading(self.source.database):
            return await sums(self._connection)

    def close(self) -> None:
        self._connection.terminate()


async def tables_of(url: str) -> dict[str, Table]:
    """What `Snapshot.tables` says, of a database as it is now."""
    connection = await asyncpg.connect(url, timeout=CONNECT_TIMEOUT, server_settings=_SESSION)
    try:
        return await sums(connection)
    finally:
        await connection.close(timeout=5)


async def sums(connection: "asyncpg.Connection[Row]") -> dict[str, Table]:
    found = {}
    for row in await connection.fetch(_TABLES):
        summed = await connection.fetchrow(_SUM.format(table=row["name"]))
        if summed is not None:
            found[row["name"]] = Table(rows=summed["rows"], checksum=f"{summed['high']}:{summed['low']}")
    return found
