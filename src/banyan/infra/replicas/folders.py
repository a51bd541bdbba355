"""What is known of replicas after a restart, as files beside the servers' own folders. What counts is renamed into
place when it is whole, so a cut-off attempt leaves nothing that counts.

    postgres/core                     the primary
    postgres/core.replica             its replica; the file `banyan.synchronous` in it says what it was wished to be
    postgres/core.replica.draft       a replica that is being copied, or that is being removed
    postgres/core.promotion           an order to put the replica in the primary's place; what has begun is finished
    postgres/core.fenced-<time>       a primary whose place was taken; PostgreSQL no longer starts on it
"""

import os
import secrets
import shutil
from pathlib import Path

import msgspec

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.disk import sync_folder
from banyan.infra.replicas.orders import Order
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings

ROLE = "banyan_replica"  # its name on the primary as a role, a slot and a standby
_SYNCHRONOUS = "banyan.synchronous"


def of(settings: Settings, server: Server) -> Path:
    return embedded.data_folder(settings, databases.replica_of(server))


def draft(settings: Settings, server: Server) -> Path:
    return place(settings) / f"{server.name}.replica.draft"


def place(settings: Settings) -> Path:
    """Where replicas are made: beside the servers, or on a disk of their own, with a link beside the servers."""
    return Path(settings.replica_folder).resolve() if settings.replica_folder else settings.data / "postgres"


def put_into_place(settings: Settings, server: Server) -> None:
    """From now on the draft is the replica."""
    whole, name = draft(settings, server), of(settings, server)
    if settings.replica_folder:
        elsewhere = whole.with_name(f"{server.name}.{secrets.token_hex(6)}")
        whole.rename(elsewhere)
        sync_folder(elsewhere.parent)
        link = name.with_name(f"{name.name}.link")
        link.unlink(missing_ok=True)
        link.symlink_to(elsewhere)
        link.rename(name)
    else:
        whole.rename(name)
    sync_folder(name.parent)


def exists(settings: Settings, server: Server) -> bool:
    return (of(settings, server) / "PG_VERSION").exists()


def is_lost(settings: Settings, server: Server) -> bool:
    """The server's own folder is gone, and its replica is all that is left of what was in it."""
    return exists(settings, server) and not (embedded.data_folder(settings, server) / "PG_VERSION").exists()


def is_wished_synchronous(settings: Settings, server: Server) -> bool:
    return (of(settings, server) / _SYNCHRONOUS).exists()


def wish_synchronous(folder: Path, wished: bool) -> None:
    if wished:
        (folder / _SYNCHRONOUS).touch(mode=0o600)
    else:
        (folder / _SYNCHRONOUS).unlink(missing_ok=True)
    sync_folder(folder)


def remove(settings: Settings, server: Server) -> None:
    """Whatever there is of a replica, whole or not."""
    gone, name = draft(settings, server), of(settings, server)
    shutil.rmtree(gone, ignore_errors=True)
    if name.is_symlink():
        elsewhere = name.resolve()
        name.unlink()
        shutil.rmtree(elsewhere, ignore_errors=True)
    elif name.exists():
        name.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    forget_password(settings, server)


def forget_password(settings: Settings, server: Server) -> None:
    _password(settings, server).unlink(missing_ok=True)


def password(settings: Settings, server: Server) -> str:
    return secret(settings.secrets, f"postgres-{server.name}-replica")


def password_file(settings: Settings, server: Server, owner: int) -> Path:
    """A libpq password file, so that the secret is in no command line and in no copy of the folder."""
    path = _password(settings, server)
    fresh = path.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"*:*:*:{ROLE}:{password(settings, server)}\n")
    os.chown(fresh, owner, -1)
    fresh.rename(path)
    return path


def order(settings: Settings, server: Server) -> Order | None:
    """The promotion that has begun and is not finished, if there is one."""
    try:
        return msgspec.json.decode(_order(settings, server).read_bytes(), type=Order)
    except FileNotFoundError:
        return None


def give_order(settings: Settings, server: Server, given: Order) -> None:
    path = _order(settings, server)
    fresh = path.with_suffix(".fresh")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(given))
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_folder(path.parent)


def end_order(settings: Settings, server: Server) -> None:
    _order(settings, server).unlink(missing_ok=True)
    sync_folder(_order(settings, server).parent)


def _order(settings: Settings, server: Server) -> Path:
    return settings.data / "postgres" / f"{server.name}.promotion"


def _password(settings: Settings, server: Server) -> Path:
    return settings.data / "postgres" / f"{server.name}.replica.password"
