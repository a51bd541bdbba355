"""A replica takes its primary's place: steps on files that may be cut off anywhere and are done again from the first.

There are never two primaries: the replica begins to be one only under the primary's name and on its socket, and the
old folder has been fenced by then. There is never none: an order stands until the new one has answered.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from banyan.infra import embedded
from banyan.infra.databases import Server
from banyan.infra.disk import sync_folder
from banyan.infra.embedded import EmbeddedPostgresError, Privileges
from banyan.infra.replicas import folders, primary, wal
from banyan.infra.replicas.orders import Order
from banyan.infra.replicas.wal import Rescue
from banyan.infra.settings import Settings

_END_SECONDS = 5.0
_FENCED = "PG_VERSION.fenced"
_NOTE = """\
The replica of this server took its place. PostgreSQL does not start on this folder any more, because the file
PG_VERSION is called {name}. What is in here may be deleted when nobody needs it.
"""
# The end of the log is the end of recovery: then the server opens as a primary, on a timeline of its own. Nobody is
# let in before, because they would be told that the database is read-only instead of that it is starting.
_PROMOTED = """
# Until it has become a primary.
restore_command = 'false'
hot_standby = 'off'
synchronous_standby_names = ''
"""


def fence(settings: Settings, server: Server, order: Order) -> Path | None:
    """End the old primary for good: none of its processes lives, its folder has another name, and no server starts on
    it. Answers the folder, or None if there is nothing left of it. Raises EmbeddedPostgresError."""
    old = embedded.data_folder(settings, server)
    aside = old.with_name(order.fenced)
    if os.path.lexists(old) and folders.exists(settings, server):
        end_processes(old)
        old.rename(aside)
        sync_folder(old.parent)
    if not os.path.lexists(aside):
        return None
    end_processes(aside)
    with contextlib.suppress(OSError):  # a disk that is broken serves nobody anyway, and the name is gone
        (aside / "PG_VERSION").rename(aside / _FENCED)
    with contextlib.suppress(OSError):
        (aside / "FENCED.txt").write_text(_NOTE.format(name=_FENCED))
    return aside if (aside / "pg_wal").is_dir() else None


def rescue(
    settings: Settings, server: Server, rights: Privileges, *, fenced: Path | None, received: int | None
) -> Rescue:
    """Give the stopped replica what it had not received, as far as the old folder can still be read."""
    replica = folders.of(settings, server)
    end_processes(replica)
    start = received or wal.end_of_recovery(rights, replica)
    timeline = wal.timeline(rights, replica)
    if fenced is None:
        return Rescue(start, timeline, None)
    found = wal.after(rights, fenced, start, timeline)
    if found is None:
        return Rescue(start, timeline, None)
    if found.commits:
        wal.take_over(fenced, replica, start=start, end=found.end, timeline=timeline, owner=rights.owner)
    return Rescue(start, timeline, found.commits)


def move(settings: Settings, server: Server, rights: Privileges) -> None:
    """Put the stopped replica in the primary's place, told to become one."""
    replica, place = folders.of(settings, server), embedded.data_folder(settings, server)
    if not folders.exists(settings, server):
        return
    if os.path.lexists(place):
        raise EmbeddedPostgresError(f"{place} is in the way of its replica; move it aside and promote again.")
    configuration = replica / "postgresql.auto.conf"
    if _PROMOTED not in configuration.read_text():
        with configuration.open("a") as file:
            file.write(_PROMOTED)
            file.flush()
            os.fsync(file.fileno())
    (replica / "recovery.signal").touch(mode=0o600)
    os.chown(replica / "recovery.signal", rights.owner, -1)
    (replica / "standby.signal").unlink(missing_ok=True)
    folders.wish_synchronous(replica, False)
    replica.rename(place)
    sync_folder(place.parent)
    folders.forget_password(settings, server)


def without_supervisor(settings: Settings, server: Server, rights: Privileges, order: Order) -> None:
    """Everything up to the start of the new primary, while no server runs."""
    fenced = fence(settings, server, order)
    if folders.exists(settings, server):
        rescue(settings, server, rights, fenced=fenced, received=None)
        move(settings, server, rights)


async def finish(settings: Settings, server: Server) -> int:
    """The new primary has answered: nothing of having been a replica is left. Answers its timeline."""
    connection = await primary.connect(settings, server)
    try:
        await primary.forget(connection)
        timeline: int = await connection.fetchval(
            "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int"
        )
    finally:
        connection.terminate()
    folders.end_order(settings, server)
    return timeline


def end_processes(folder: Path) -> None:
    """PostgreSQL's processes work in their data folder, and some outlive a killed postmaster for a moment: long enough
    to tell a client of a commit. Raises EmbeddedPostgresError."""
    deadline = time.monotonic() + _END_SECONDS
    while alive := working_in(folder):
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"Processes {alive} still work in {folder} and cannot be killed.")
        for pid in alive:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def working_in(folder: Path) -> list[int]:
    try:
        wanted = folder.stat()
    except OSError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                place = (entry / "cwd").stat()
                if (place.st_dev, place.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append(int(entry.name))
    return found
