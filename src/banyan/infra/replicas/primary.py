"""What a primary is told and asked about its replica, as its superuser."""

import asyncio
from datetime import datetime
from typing import TypeAlias

import asyncpg

from banyan.infra import databases
from banyan.infra.databases import Server
from banyan.infra.embedded import SUPERUSER
from banyan.infra.replicas import folders
from banyan.infra.replicas.folders import ROLE
from banyan.infra.replicas.orders import Look
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


_LOOK = """
SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint AS position,
       current_setting('synchronous_standby_names') <> '' AS synchronous,
       coalesce(standby.state = 'streaming', false) AS streaming,
       coalesce(slot.wal_status = 'lost', false) AS lost,
       (pg_current_wal_flush_lsn() - coalesce(standby.flush_lsn, slot.restart_lsn))::bigint AS behind,
       coalesce(extract(epoch FROM standby.flush_lag), 0)::float8 AS seconds
  FROM (SELECT 1) AS always
  LEFT JOIN pg_replication_slots AS slot ON slot.slot_name = $1
  LEFT JOIN pg_stat_replication AS standby ON standby.pid = slot.active_pid AND standby.application_name = $1
"""

# A base backup has phases; only the files' part is worth a figure.
_COPIED = "SELECT phase, backup_streamed, backup_total FROM pg_stat_progress_basebackup"


async def connect(settings: Settings, server: Server, at: Server | None = None) -> Connection:
    """To `server`, or to its replica if that is `at`."""
    password = secret(settings.secrets, f"postgres-{server.name}-superuser")
    url = databases.embedded_url(settings, at or server, SUPERUSER, SUPERUSER, password)
    # What is done here must not wait for the replica that it is about.
    told = {"synchronous_commit": "local", "log_min_error_statement": "panic", "application_name": "banyan-replicas"}
    return await asyncio.wait_for(asyncpg.connect(url, timeout=3, command_timeout=5, server_settings=told), 5)


async def look(connection: Connection, *, now: datetime) -> Look:
    row = await connection.fetchrow(_LOOK, ROLE)
    if row is None:
        raise asyncpg.InterfaceError("no answer")
    return Look(
        at=now, **{name: row[name] for name in ("position", "streaming", "synchronous", "behind", "seconds", "lost")}
    )


async def prepare(settings: Settings, server: Server, connection: Connection) -> None:
    """Everything that a replica needs of its primary: a role that may do nothing but follow, and a slot that keeps the
    log for it, but never so much that the disk is full."""
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", ROLE):
        await connection.execute(f"CREATE ROLE {ROLE}")
    literal = await connection.fetchval("SELECT quote_literal($1::text)", folders.password(settings, server))
    await connection.execute(f"ALTER ROLE {ROLE} LOGIN REPLICATION PASSWORD {literal}")
    await connection.execute(f"ALTER SYSTEM SET max_slot_wal_keep_size = '{settings.replica_log // 1_048_576}MB'")
    await connection.execute("SELECT pg_reload_conf()")
    await forget_slot(connection)
    await connection.execute("SELECT pg_create_physical_replication_slot($1, true)", ROLE)


async def set_synchronous(connection: Connection, wanted: bool) -> None:
    """Whether a commit waits until the replica has it on its disk."""
    await connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{ROLE if wanted else ''}'")
    await connection.execute("SELECT pg_reload_conf()")


async def be_alone(connection: Connection) -> None:
    await set_synchronous(connection, False)


async def forget(connection: Connection) -> None:
    """After this no commit waits for a replica, and no log is kept for one."""
    for name in ("synchronous_standby_names", "restore_command", "hot_standby"):
        await connection.execute(f"ALTER SYSTEM RESET {name}")
    await connection.execute("SELECT pg_reload_conf()")
    await forget_slot(connection)


async def forget_slot(connection: Connection) -> None:
    pid = await connection.fetchval("SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1", ROLE)
    if pid is not None:
        await connection.execute("SELECT pg_terminate_backend($1, 2000)", pid)
    await connection.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", ROLE
    )


async def copied(connection: Connection) -> tuple[str, int, int | None]:
    """The phase of a copy that is being made, its bytes so far and in all."""
    row = await connection.fetchrow(_COPIED)
    if row is None:
        return "starting", 0, None
    return row["phase"], row["backup_streamed"] or 0, row["backup_total"]
