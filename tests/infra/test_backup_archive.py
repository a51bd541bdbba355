"""A backup's files: a half, changed, exchanged or newer one is refused, and the refusal names the file."""

import asyncio
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from banyan.infra.backup import contents, manifest
from banyan.infra.backup.manifest import Damaged, DigestDiffers, NewerFormat, NoBackup
from banyan.infra.backup.places import PlaceTaken
from banyan.infra.settings import Settings
from banyan.kit.errors import Refused
from tests.infra.archives import BASE, FILES, read, write


@pytest.mark.parametrize("passphrase", [None, "a horse"])
async def test_what_was_written_is_read_and_readable_by_its_owner_only(tmp_path: Path, passphrase: str | None) -> None:
    digest = await write(tmp_path / "b", passphrase)

    assert await read(tmp_path / "b", passphrase, digest) == FILES
    stored = [path for path in (tmp_path / "b").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o077 for path in stored} == {0}
    clear = [path for path in stored if b"rows rows" in path.read_bytes()]
    assert bool(clear) == (passphrase is None)


async def test_any_byte_that_differs_and_any_end_that_is_missing_is_found(tmp_path: Path) -> None:
    await write(tmp_path / "b")
    names = [str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("*") if path.is_file()]

    @settings(max_examples=150, deadline=None)
    @given(
        name=st.sampled_from(names), where=st.floats(0, 1, exclude_max=True), cut=st.booleans(), bit=st.integers(0, 7)
    )
    def found(name: str, where: float, cut: bool, bit: int) -> None:
        path = tmp_path / "b" / name
        whole = path.read_bytes()
        if not whole:
            return
        at = int(where * len(whole))
        path.write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
        try:
            refused = run_read(tmp_path / "b")
        finally:
            path.write_bytes(whole)
        named = "manifest" if name.startswith("manifest") else name
        assert refused.startswith(named), (refused, name)

    found()
    assert await read(tmp_path / "b") == FILES


def run_read(path: Path) -> str:
    """The refusal's words; hypothesis calls from inside a running loop, so another thread has one of its own."""

    def refused() -> str:
        with pytest.raises((Damaged, NewerFormat)) as told:
            asyncio.run(read(path))
        return "manifest" if isinstance(told.value, NewerFormat) else str(told.value)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(refused).result()


@pytest.mark.parametrize("name", sorted(FILES))
async def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    await write(tmp_path / "b")
    (tmp_path / "b" / name).unlink()

    with pytest.raises(Damaged, match=name):
        await read(tmp_path / "b")


async def test_whoever_changes_everything_is_found_by_the_digest(tmp_path: Path) -> None:
    digest = await write(tmp_path / "b")
    other = await write(tmp_path / "forged", files={**FILES, "objects.tar": b"something else"})

    assert other != digest
    with pytest.raises(DigestDiffers, match=digest):
        await read(tmp_path / "forged", digest=digest)


async def test_a_newer_format_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    await write(tmp_path / "b")
    path = tmp_path / "b" / manifest.PLAIN
    known = json.loads(path.read_bytes())
    path.write_text(json.dumps({**known, "format": 2, "what": "nobody knows"}))

    with pytest.raises(NewerFormat, match="newer Banyan"):
        await read(tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"folder": "../elsewhere"}, "names what is not in it"),
        ({"files": {"/etc/hostname": {"size": 1, "sha256": ""}}}, "names what is not in it"),
        ({"bases": [BASE]}, "has no hash of 'core.tar'"),
        (
            {"bases": [BASE], "files": {"core.tar": {"size": 1, "sha256": ""}}},
            "holds quick, which this Banyan does not",
        ),
    ],
)
async def test_a_manifest_that_reaches_for_what_is_not_its_own_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    await write(tmp_path / "b")
    known = json.loads((tmp_path / "b" / manifest.PLAIN).read_bytes())

    with pytest.raises(Refused, match=said):
        manifest.decode(json.dumps({**known, **change}).encode(), manifest.PLAIN)


async def test_a_file_without_end_is_given_up_when_it_is_longer_than_it_should_be(tmp_path: Path) -> None:
    await write(tmp_path / "b")
    with (tmp_path / "b" / "files.tar").open("ab") as file:
        file.truncate(2**40)

    with pytest.raises(Damaged, match=r"files\.tar .* is longer"):
        await asyncio.wait_for(read(tmp_path / "b"), 10)
    (tmp_path / "b" / "files.tar").unlink()
    os.mkfifo(tmp_path / "b" / "files.tar")
    with pytest.raises(Damaged, match=r"files\.tar .* is missing"):
        await read(tmp_path / "b")


async def test_servers_and_logs_that_lie_in_the_data_folder_are_no_part_of_its_files(tmp_path: Path) -> None:
    data = tmp_path / "data"
    told = Settings.read(
        {"BANYAN_DATA": str(data), "BANYAN_WAL_ARCHIVE": str(data / "wal"), "BANYAN_REPLICA_FOLDER": str(data / "r")}
    )
    for name in ("secrets/one", "wal/core/1/segment.gz", "r/core.1/PG_VERSION", "postgres/core/PG_VERSION", "logs/x"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(name)

    packed = b"".join([piece async for piece in contents.files(told)])

    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert tar.getnames() == ["secrets", "secrets/one"]


async def test_a_folder_without_a_manifest_is_no_backup(tmp_path: Path) -> None:
    await write(tmp_path / "b")
    (tmp_path / "b" / manifest.PLAIN).unlink()

    for nothing in (tmp_path / "b", tmp_path / "nowhere"):
        with pytest.raises(NoBackup):
            await read(nothing)


async def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("mine")

    with pytest.raises(PlaceTaken):
        await write(tmp_path / "b")
    assert (tmp_path / "b" / "mine").read_text() == "mine"


async def test_a_killed_backup_leaves_nothing_that_counts_and_the_next_one_clears_it_away(tmp_path: Path) -> None:
    script = (
        "import asyncio, os\nfrom pathlib import Path\nfrom banyan.infra.backup.places import Folder\n"
        "async def parts():\n    yield b'half'\n    os.kill(os.getpid(), 9)\n"
        f"async def main():\n    place = Folder(Path({str(tmp_path / 'b')!r}))\n    await place.begin()\n"
        "    await place.put('files.tar', parts())\nasyncio.run(main())\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    left = list(tmp_path.iterdir())

    assert killed.returncode == -9
    assert len(left) == 1
    assert left[0].name.endswith(".partial")
    left[0].rename(tmp_path / f".b.{os.getpid()}.partial")  # as in a container, where each has the same number
    await write(tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_disk_that_is_full_in_the_middle_is_a_clear_error_and_leaves_nothing() -> None:
    with tempfile.TemporaryDirectory(prefix="by-", dir="/tmp") as folder:
        script = (
            "import asyncio\nfrom pathlib import Path\nfrom banyan.infra.backup.places import Folder, NoRoom\n"
            "async def parts():\n    for _ in range(9):\n        yield bytes(50_000)\n"
            f"async def main():\n    place = Folder(Path({folder!r}) / 'b')\n    await place.begin()\n"
            "    try:\n        await place.put('files.tar', parts())\n"
            "    except NoRoom as fault:\n        await place.abandon()\n        print(fault)\nasyncio.run(main())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        )

        assert "There is no room for this" in done.stdout
        assert list(Path(folder).iterdir()) == []
