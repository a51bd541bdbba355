"""Numbered SQL per context: advisory lock, checksums, one transaction each."""

import hashlib
import re
from importlib.util import find_spec
from pathlib import Path

import structlog

from banyan.infra.postgres import Database

log = structlog.get_logger()

_PACKAGED = Path(__file__).parent.parent / "_migrations"
_SOURCE = Path(__file__).parents[3] / "migrations"
FOLDER = _PACKAGED if _PACKAGED.is_dir() else _SOURCE

_LOCK = 0x62616E79616E  # "banyan"; one database belongs to one context, so one lock is enough
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_INCLUDE = re.compile(r"^-- include (\w+)/(\S+) sha256 ([0-9a-f]{64})$", re.MULTILINE)


class MigrationError(Exception):
    """The migrations in the package do not fit what the database has seen; the message says which and what to do."""


async def migrate(database: Database, context: str) -> list[str]:
    """Bring a database to the newest version; answers the names applied now. Raises MigrationError, DatabaseAway."""
    applied_now: list[str] = []
    async with database.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=120)
        try:
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, checksum text NOT NULL,"
                " applied_at timestamptz NOT NULL DEFAULT now())"
            )
            seen = {row["name"]: row["checksum"] for row in await connection.fetch("SELECT * FROM migration")}
            for name, sql in numbered(context):
                checksum = hashlib.sha256(sql.encode()).hexdigest()
                if name in seen:
                    if seen[name] != checksum:
                        raise MigrationError(
                            f"{context}/{name} was edited after it had been applied. Restore it and add a new file."
                        )
                    continue
                async with connection.transaction():
                    await connection.execute(complete(sql), timeout=600)
                    await connection.execute("INSERT INTO migration (name, checksum) VALUES ($1, $2)", name, checksum)
                applied_now.append(name)
                log.info("migrated", context=context, migration=name)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return applied_now


def numbered(context: str) -> list[tuple[str, str]]:
    """(name, SQL) of a context's migrations in their order. Raises MigrationError for a gap or a bad name."""
    found = sorted((FOLDER / context).glob("*.sql"))
    for number, path in enumerate(found, start=1):
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) != number:
            raise MigrationError(f"{context}/{path.name}: expected a name like {number:04}_what_it_does.sql")
    return [(path.stem, path.read_text(encoding="utf-8")) for path in found]


def complete(sql: str) -> str:
    """The SQL with a package's file in place of each `-- include PACKAGE/PATH sha256 HASH`. Raises MigrationError."""

    def packaged(line: re.Match[str]) -> str:
        package, path, expected = line.groups()
        found = find_spec(package)
        if found is None or found.origin is None:
            raise MigrationError(f"The package {package}, whose {path} is needed, is not installed.")
        content = (Path(found.origin).parent / path).read_bytes()
        if hashlib.sha256(content).hexdigest() != expected:
            raise MigrationError(f"{package}/{path} is not the file that was checked. Install the pinned version.")
        return content.decode()

    return _INCLUDE.sub(packaged, sql)
