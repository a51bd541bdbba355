"""A replica as a server: copied from its primary, started as a child of the supervisor, asked whether it follows."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.embedded import EmbeddedPostgresError, Kept, Privileges
from banyan.infra.postgres import LOST
from banyan.infra.replicas import folders, primary
from banyan.infra.replicas.folders import ROLE
from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import dies_with_parent
from banyan.infra.supervisor.probe import NotReady

_RECEIVING = "SELECT status FROM pg_stat_wal_receiver"
_RECEIVED = """
SELECT (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::bigint
"""


def command(settings: Settings, server: Server, rights: Privileges) -> list[str]:
    """The replica's command line. It says all there is to say about following, so that the folder has nothing of it
    that could be left over when it is a primary's."""
    told = {
        "primary_conninfo": _conninfo(settings, server, rights, application=ROLE),
        "primary_slot_name": ROLE,
        "hot_standby": "on",
        "wal_retrieve_retry_interval": "200ms",
        "wal_receiver_status_interval": "1s",
    }
    options = [part for name, value in told.items() for part in ("-c", f"{name}={value}")]
    return [*embedded.command(settings, databases.replica_of(server), rights), *options]


def clear_sockets(settings: Settings, server: Server) -> None:
    for stale in databases.socket_folder(settings).glob(f".s.PGSQL.{databases.replica_of(server).port}*"):
        stale.unlink()


async def copy(settings: Settings, server: Server, rights: Privileges, *, synchronous: bool) -> None:
    """Copy the running primary, whose slot is there already. Raises EmbeddedPostgresError; then there is no replica."""
    draft = folders.draft(settings, server)
    await asyncio.to_thread(folders.remove, settings, server)
    draft.mkdir(mode=0o700, parents=True)
    os.chown(draft, rights.owner, -1)
    process = await asyncio.create_subprocess_exec(
        *rights.prefix,
        *dies_with_parent(signal.SIGTERM),
        str(embedded.binary("pg_basebackup")),
        f"--pgdata={draft}",
        f"--dbname={_conninfo(settings, server, rights, application='banyan_copy')}",
        f"--slot={ROLE}",
        "--wal-method=stream",
        "--checkpoint=fast",
        "--no-password",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=embedded.environ(),
        cwd="/",
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    if process.returncode != 0:
        await asyncio.to_thread(folders.remove, settings, server)
        why = said.decode(errors="replace").strip()[-500:]
        raise EmbeddedPostgresError(f"The copy of {server.name} failed: {why}")
    placing = asyncio.create_task(asyncio.to_thread(_put_into_place, settings, server, rights, synchronous))
    try:
        await asyncio.shield(placing)
    except asyncio.CancelledError:
        await placing  # a thread goes on, and would put it there after whoever cancelled has looked
        raise


def _put_into_place(settings: Settings, server: Server, rights: Privileges, synchronous: bool) -> None:
    draft = folders.draft(settings, server)
    signal_file = draft / "standby.signal"
    signal_file.touch(mode=0o600)
    os.chown(signal_file, rights.owner, -1)
    folders.wish_synchronous(draft, synchronous)
    folders.put_into_place(settings, server)


class Following:
    """A replica is ready when it follows its primary. `consequence` says what else that means
    when it does not."""

    def __init__(self, settings: Settings, server: Server, consequence: Callable[[], str]) -> None:
        self._server = server
        self._consequence = consequence
        self._kept = Kept(lambda: primary.connect(settings, server, databases.replica_of(server)))

    async def __call__(self) -> None:
        status = await self._kept.fetchval(_RECEIVING)
        if status != "streaming":
            raise NotReady(f"does not follow postgres-{self._server.name} just now{self._consequence()}")


async def received(settings: Settings, server: Server) -> int | None:
    """Up to where the replica has its primary's log on its disk; None if it does not answer."""
    try:
        connection = await primary.connect(settings, server, databases.replica_of(server))
    except LOST:
        return None
    try:
        position: int | None = await connection.fetchval(_RECEIVED)
        return position
    except LOST:
        return None
    finally:
        connection.terminate()


def _conninfo(settings: Settings, server: Server, rights: Privileges, *, application: str) -> str:
    parts: dict[str, str | int | Path] = {
        "host": databases.socket_folder(settings),
        "port": server.port,
        "user": ROLE,
        "passfile": folders.password_file(settings, server, rights.owner),
        "application_name": application,
    }
    return " ".join(f"{name}='{_quoted(str(value))}'" for name, value in parts.items())


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
