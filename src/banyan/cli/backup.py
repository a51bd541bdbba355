"""`banyan backup` and `banyan restore`."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer

from banyan.cli.options import Data, Json, clear_errors, fail, settings

PASSPHRASE = "BANYAN_BACKUP_PASSPHRASE"  # noqa: S105 # the name of a variable

Place = Annotated[str, typer.Argument(help="A folder that is not there yet, or s3://bucket/prefix.", metavar="PLACE")]


def backup(
    to: Place,
    encrypt: Annotated[bool, typer.Option("--encrypt", help=f"With a passphrase: {PASSPHRASE}, or asked for.")] = False,
    physical: Annotated[
        bool, typer.Option("--physical", help="Whole servers, for a restore to any later moment by BANYAN_WAL_ARCHIVE.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Keep everything: databases, objects, secrets. Banyan may run meanwhile."""
    import msgspec

    from banyan.infra.backup import choosing
    from banyan.infra.embedded import EmbeddedPostgresError
    from banyan.infra.supervisor.state import AlreadyRunning
    from banyan.processes import backup as process

    told = settings(data)
    with _until_done(AlreadyRunning, EmbeddedPostgresError):
        passphrase = _passphrase(confirm=True) if encrypt else None
        if passphrase is None:
            _say("Not encrypted: whoever can read it can read the secrets in it. --encrypt changes that.")
        place = choosing.place(to)
        taken = asyncio.run(process.backup(told, place, passphrase=passphrase, physical=physical, tell=_say))
    if as_json:
        known = {"place": to, "digest": taken.digest, "bytes": taken.size, "encrypted": encrypt}
        print(msgspec.json.encode({**known, "manifest": taken.manifest}).decode())
        return
    kept = taken.manifest
    what = f"{len(kept.bases)} servers" if physical else f"{len(kept.dumps)} databases"
    print(f"Kept {what} and all files, {taken.size / 1e6:.1f} MB, at {to}")
    print(f"Digest {taken.digest}")
    print("Note it elsewhere; `banyan restore --digest` then finds whatever was changed meanwhile.")


def restore(
    source: Annotated[str, typer.Argument(help="A backup: a folder, or s3://bucket/prefix.", metavar="PLACE")],
    data: Data = None,
    digest: Annotated[str | None, typer.Option(help="Refuse a backup of another digest.")] = None,
    to_time: Annotated[
        str | None, typer.Option(help="With a physical backup: the moment, such as 2026-11-24T10:00:00+09:00.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only see whether all of it is there and unchanged.")] = False,
    as_json: Json = False,
) -> None:
    """Make a data folder from a backup; the folder is empty or not there yet."""
    import msgspec

    from banyan.infra.backup import choosing
    from banyan.infra.backup.sealing import PassphraseNeeded
    from banyan.infra.embedded import EmbeddedPostgresError
    from banyan.infra.settings import SettingError
    from banyan.infra.supervisor.state import AlreadyRunning
    from banyan.processes import restore as process

    told = settings(data)
    moment = _moment(to_time)

    def run(passphrase: str | None) -> process.Restored | process.Checked:
        place = choosing.place(source)
        if check:
            return asyncio.run(process.check(place, passphrase=passphrase, digest=digest, tell=_say))
        return asyncio.run(process.restore(told, place, passphrase=passphrase, digest=digest, moment=moment, tell=_say))

    with _until_done(AlreadyRunning, EmbeddedPostgresError, SettingError):
        try:
            restored = run(os.environ.get(PASSPHRASE))
        except PassphraseNeeded:
            if not sys.stdin.isatty():
                raise
            restored = run(_passphrase(confirm=False))
    if as_json:
        print(msgspec.json.encode(restored).decode())
        return
    if isinstance(restored, process.Checked):
        print(f"The backup of {restored.manifest.begun_at:%F %T %Z} at {source} is whole; digest {restored.digest}")
        return
    if restored.manifest.dumps:
        print(f"{restored.tables} tables with {restored.rows} rows, each as in its snapshot.")
    print(f"Restored into {told.data}; {restored.republished} events will be published again when Banyan is started.")


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"--to-time is {text!r}; it takes a moment such as 2026-11-24T10:00:00+09:00.", code=2)
    if moment.tzinfo is None:
        fail(f"--to-time is {text!r} of no zone; add one, such as +09:00 or Z.", code=2)
    return moment


@contextmanager
def _until_done(*expected: type[Exception]) -> Iterator[None]:
    os.umask(0o077)
    with clear_errors(*expected):
        try:
            yield
        except (KeyboardInterrupt, asyncio.CancelledError):
            fail("Cut off. Nothing of it counts, and it can be run again.", code=130)


def _passphrase(*, confirm: bool) -> str:
    given = os.environ.get(PASSPHRASE)
    if given:
        return given
    if not sys.stdin.isatty():
        fail(f"Put the passphrase into {PASSPHRASE}; nobody can be asked for it here.", code=2)
    asked: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
