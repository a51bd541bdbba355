"""Which database lives on which server, and the URL a context reaches its own by."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from banyan.infra.secrets import secret
from banyan.infra.settings import Settings


@dataclass(frozen=True, slots=True)
class Server:
    """One embedded PostgreSQL server; `port` only names its socket file, nothing listens on TCP."""

    name: str
    port: int
    databases: tuple[str, ...]


# Three servers, so that one hung server is not everything.
SERVERS = (
    Server("front", 5501, ("gateway", "iam")),
    Server("core", 5502, ("learning", "commerce")),
    Server("aside", 5503, ("exports", "search", "live", "bus")),
)


# Who else may connect to a database; what they may do in it, its owner's migrations and declarations grant.
GUESTS = {
    "iam": ("relay",),
    "learning": ("relay",),
    "bus": ("relay", "iam", "learning", "live"),
}


def replica_of(server: Server) -> Server:
    """The server that follows it, if somebody asked for one."""
    return Server(f"{server.name}.replica", server.port + 10, server.databases)


def server_of(context: str) -> Server:
    return next(server for server in SERVERS if context in server.databases)


def foreign_url(context: str) -> str | None:
    """The URL of a database that somebody else runs, if the operator gave one."""
    return os.environ.get(f"BANYAN_{context.upper()}_DATABASE_URL") or None


def url(settings: Settings, context: str) -> str:
    """`postgresql://...` for a context's own role in its own database."""
    return foreign_url(context) or _own_url(settings, context, context)


def replica_url(settings: Settings, context: str) -> str | None:
    """For reading alone, by the same role with the same rights: the context's database as it was a moment ago, on a
    server that others do not wait for. None where there is no replica of ours."""
    replica = replica_of(server_of(context))
    if foreign_url(context) or not (settings.data / "postgres" / replica.name / "PG_VERSION").exists():
        return None
    return embedded_url(settings, replica, context, context, secret(settings.secrets, f"postgres-{context}"))


def relay_url(settings: Settings, owner: str) -> str:
    """Where the relay reads a context's outbox, with rights to that alone where the server is ours."""
    given = os.environ.get(f"BANYAN_RELAY_{owner.upper()}_URL")
    return given or foreign_url(owner) or _own_url(settings, owner, "relay")


def has_bus(settings: Settings) -> bool:
    """Whether there is a bus in PostgreSQL at all, ours or somebody else's."""
    server = server_of("bus")
    return bool(foreign_url("bus")) or (settings.data / "postgres" / server.name / "PG_VERSION").exists()


def bus_url(settings: Settings, role: str) -> str:
    """The bus, for a context's role or the relay's. Elsewhere its URL names the role."""
    return foreign_url("bus") or _own_url(settings, "bus", role)


def _own_url(settings: Settings, database: str, role: str) -> str:
    password = secret(settings.secrets, f"postgres-{role}")
    return embedded_url(settings, server_of(database), database, role, password)


def socket_folder(settings: Settings) -> Path:
    """A folder of its own, because under root it may belong to the user that PostgreSQL runs as."""
    return settings.run / "pg"


def socket_of(settings: Settings, server: Server) -> Path:
    return socket_folder(settings) / f".s.PGSQL.{server.port}"


def embedded_url(settings: Settings, server: Server, database: str, role: str, password: str) -> str:
    host = quote(str(socket_folder(settings)), safe="")
    return f"postgresql://{role}:{quote(password)}@/{database}?host={host}&port={server.port}"
