"""The folder that a restore makes: whole or not there, and nobody else's work is touched."""

import gzip
import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from banyan.infra.backup import trees
from banyan.infra.backup.manifest import Damaged
from banyan.infra.backup.target import Target, TargetNotEmpty
from banyan.infra.settings import Settings
from banyan.infra.supervisor.state import AlreadyRunning, DataFolderLock
from banyan.processes.run import run


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.read({"BANYAN_DATA": str(tmp_path / "data")})


def begun(settings: Settings) -> Target:
    target = Target(settings)
    target.check()
    target.claim()
    (target.draft / "secrets").mkdir()
    (target.draft / "secrets" / "one").write_text("secret")
    return target


def test_a_second_restore_into_a_folder_leaves_the_first_ones_work_alone(settings: Settings) -> None:
    first, second = begun(settings), Target(settings)
    second.check()

    with pytest.raises(AlreadyRunning):
        second.claim()
    second.leave()

    first.place()
    first.leave()
    assert (settings.data / "secrets" / "one").read_text() == "secret"


def test_one_that_was_cut_off_just_before_its_end_can_be_used(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = begun(settings)
    monkeypatch.setattr("banyan.infra.backup.target.shutil.rmtree", lambda *_, **__: None)  # as if killed before it
    target.place()
    target.leave()
    monkeypatch.undo()

    lock = DataFolderLock(settings)
    lock.take()
    lock.close()
    assert (settings.data / "secrets" / "one").read_text() == "secret"
    with pytest.raises(TargetNotEmpty):
        Target(settings).check()


def test_one_that_was_cut_off_while_it_moved_is_run_again(settings: Settings) -> None:
    first = begun(settings)
    (first.draft / "placing.json").write_text(json.dumps(["secrets"]))
    (first.draft / "secrets").rename(settings.data / "secrets")
    assert first._lock is not None
    first._lock.close()  # a kill does

    lock = DataFolderLock(settings)
    with pytest.raises(AlreadyRunning, match="cut off"):
        lock.take()
    lock.close()
    with pytest.raises(AlreadyRunning, match="cut off"):
        run("postgres-core", settings)
    assert not (settings.data / "postgres").exists()
    again = begun(settings)
    again.place()
    again.leave()
    assert not (settings.data / "restoring").exists()
    assert (settings.data / "secrets" / "one").exists()


def made(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A tar with one good entry and another."""
    stored = io.BytesIO()
    with tarfile.open(fileobj=stored, mode="w") as tar:
        for each, of_kind in (("good", tarfile.REGTYPE), (name, kind)):
            entry = tarfile.TarInfo(each)
            entry.type, entry.linkname = of_kind, link
            tar.addfile(entry)
    return stored.getvalue()


@pytest.mark.parametrize(
    "stored",
    [
        made("../outside"),
        made("/outside"),
        made("a/../../outside"),
        made("way", tarfile.SYMTYPE, "/etc"),
        made("way", tarfile.LNKTYPE, "/etc/passwd"),
        made("way", tarfile.CHRTYPE),
        made("way", tarfile.FIFOTYPE),
        made("good"),
        made("good/below"),
        gzip.compress(made("whole"))[:60],
        b"no tar at all",
    ],
)
async def test_an_archive_of_files_that_is_not_ours_is_refused_and_makes_nothing_outside(
    tmp_path: Path, stored: bytes
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield stored

    (tmp_path / "in").mkdir()
    with pytest.raises(Damaged, match=r"files\.tar"):
        await trees.unpack(pieces(), tmp_path / "in", "files.tar")
    assert {path.name for path in tmp_path.rglob("*")} <= {"in", "good"}


def test_a_list_of_names_that_a_backup_brought_removes_nothing_elsewhere(settings: Settings, tmp_path: Path) -> None:
    beside = tmp_path / "mine"
    beside.mkdir()
    target = begun(settings)
    (target.draft / "placing.json").write_text(json.dumps(["../mine", str(beside), "..", "secrets"]))

    target.leave()

    assert beside.is_dir()
    assert not settings.data.exists()
