"""One suite for every object store: a folder, and S3 against a server that speaks its language."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from banyan.infra import objects
from banyan.infra.backup import contents
from banyan.infra.objects import ObjectMissing, ObjectStore, StoreTrouble
from banyan.infra.objects import s3 as s3_objects
from banyan.infra.settings import SettingError, Settings
from tests.infra import s3_server

LARGE = os.urandom(1000) * 20_000  # 20 MB: three parts


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server.running(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture(params=["folder", "s3"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ObjectStore]:
    chosen = str(tmp_path / "objects")
    if request.param == "s3":
        monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("endpoint"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        chosen = f"s3://kept/{uuid.uuid4().hex}"
    made = objects.store(Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_OBJECT_STORE": chosen}))
    yield made
    await made.close()


async def pieces(content: bytes, size: int = 300_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def names(store: ObjectStore, folder: str) -> list[str]:
    return [found.name async for found in store.list(folder)]


async def test_what_was_put_comes_back_whole_and_in_parts(store: ObjectStore) -> None:
    assert await store.put("events/iam/dt=2026-01-02/a.parquet", pieces(LARGE)) == len(LARGE)

    name = "events/iam/dt=2026-01-02/a.parquet"
    assert await whole(store.get(name)) == LARGE
    assert await whole(store.get(name, start=19_999_000)) == LARGE[19_999_000:]
    assert await whole(store.get(name, start=5, length=1_500_000)) == LARGE[5:1_500_005]
    assert await whole(store.get(name, start=len(LARGE))) == b""
    assert await whole(store.get(name, length=0)) == b""
    found = await store.find(name)
    assert found is not None
    assert (found.name, found.size) == (name, len(LARGE))


async def test_an_object_is_replaced_as_a_whole_and_may_be_empty(store: ObjectStore) -> None:
    await store.put("a", pieces(b"first"))
    await store.put("a", pieces(b""))

    assert await whole(store.get("a")) == b""


async def test_what_breaks_off_in_the_middle_changes_nothing_and_leaves_nothing(store: ObjectStore) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield LARGE[:9_000_000]
        raise OverflowError

    await store.put("x/a", pieces(b"first"))
    for name in ("x/a", "x/b"):
        with pytest.raises(OverflowError):
            await store.put(name, broken())

    assert await whole(store.get("x/a")) == b"first"
    assert await store.find("x/b") is None
    assert await names(store, "x") == ["x/a"]


async def test_a_list_has_what_is_below_a_folder_and_nothing_beside_it(store: ObjectStore) -> None:
    for name in ("x/b/2", "x/b/1", "x/a", "xy/c", "x/b2"):
        await store.put(name, pieces(b"."))

    assert await names(store, "x") == ["x/a", "x/b/1", "x/b/2", "x/b2"]
    assert await names(store, "x/b") == ["x/b/1", "x/b/2"]
    assert await names(store, "nothing") == []


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(store: ObjectStore) -> None:
    await store.put("a", pieces(b"."))
    await store.delete("a")
    await store.delete("a")

    assert await store.find("a") is None
    with pytest.raises(ObjectMissing, match="has no a"):
        await whole(store.get("a"))


@pytest.mark.parametrize("name", ["", "/a", "a/", "../a", "a/../b", "a//b", ".a", "a/.b", "a\0", "강의", "x" * 800])
async def test_a_name_leads_nowhere_else(store: ObjectStore, name: str) -> None:
    with pytest.raises(ValueError, match="no name of an object"):
        await store.put(name, pieces(b"."))
    with pytest.raises(ValueError, match="no name of an object"):
        await whole(store.get(name))


async def test_a_put_that_is_killed_leaves_nothing_that_is_listed(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from banyan.infra.objects.folder import Folder
async def endless():
    yield b"x" * 100_000
    print("half", flush=True)
    await asyncio.Event().wait()
asyncio.run(Folder(Path(sys.argv[1])).put("x/a", endless()))
"""
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()

    store = objects.store(Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_OBJECT_STORE": str(tmp_path)}))
    assert await names(store, "x") == []
    await store.put("x/a", pieces(b"again"))
    assert await names(store, "x") == ["x/a"]


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = objects.store(Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_OBJECT_STORE": str(tmp_path / "file")}))
    with pytest.raises(StoreTrouble, match=r"file cannot be used just now: \w"):
        await store.put("a", pieces(b"."))


async def test_a_bucket_that_is_away_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    store = objects.store(Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_OBJECT_STORE": "s3://kept/x"}))
    with pytest.raises(StoreTrouble, match="s3://kept/x cannot be used"):
        await store.find("a")
    await store.close()


async def test_an_address_that_is_none_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "somewhere")
    store = objects.store(Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_OBJECT_STORE": "s3://kept"}))
    with pytest.raises(StoreTrouble, match="s3://kept cannot be used just now: Invalid endpoint: somewhere"):
        await store.find("a")
    await store.close()


async def test_a_folder_elsewhere_is_in_a_backup_with_what_lies_in_the_data_folder(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    settings = Settings.read({"BANYAN_DATA": str(tmp_path / "data"), "BANYAN_OBJECT_STORE": str(elsewhere)})
    await objects.store(settings).put("events/iam/dt=2026-01-02/a.parquet", pieces(b"archived"))
    (elsewhere / "events" / ".half.partial").write_text("")
    (settings.objects / "media").mkdir(parents=True)
    (settings.objects / "media" / "clip").write_text("clip")

    packed = io.BytesIO(await whole(contents.objects(settings)))

    with tarfile.open(fileobj=packed) as tar:
        assert {entry.name for entry in tar if entry.isfile()} == {"media/clip", "events/iam/dt=2026-01-02/a.parquet"}


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiobotocore.session", None)

    with pytest.raises(s3_objects.ExtraMissing, match=r"banyan\[aws\]"):
        s3_objects.bucket("s3://kept/x")


@pytest.mark.parametrize("value", ["objects", "s3://", "s3:///x", "http://x/y", "S3://kept/x", "s3://kept/a b"])
def test_a_store_that_cannot_be_meant_is_named(value: str) -> None:
    with pytest.raises(SettingError, match=r"BANYAN_OBJECT_STORE.*s3://bucket/prefix"):
        Settings.read({"BANYAN_OBJECT_STORE": value})
