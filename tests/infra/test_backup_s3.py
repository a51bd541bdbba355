"""Backups in S3, against a server that speaks its language (docs/guides/restore.md)."""

import os
import sys
import uuid
from collections.abc import Iterator

import pytest

from banyan.infra.backup import manifest, s3
from banyan.infra.backup.archive import Reader, Writer
from banyan.infra.backup.manifest import NoBackup
from banyan.infra.backup.places import Place, PlaceTaken
from tests.infra import s3_server
from tests.infra.archives import chunks, described

LARGE = os.urandom(1000) * 20_000  # 20 MB: three parts


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server.running(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture
def where(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return f"s3://kept/{uuid.uuid4().hex}"


async def keep(place: Place) -> str:
    await place.begin()
    writer = Writer(place, None)
    await writer.add("databases/learning.dump", chunks(LARGE, 300_000))
    await writer.add("objects.tar", chunks(b""))
    return await writer.finish(described(writer))


async def test_what_is_kept_in_s3_comes_back_and_is_not_overwritten(where: str) -> None:
    place = s3.bucket(where)
    digest = await keep(place)
    await place.close()

    again = s3.bucket(where)
    reader = await Reader.open(again, passphrase=None, digest=digest)
    await reader.check()
    assert b"".join([chunk async for chunk in reader.read("databases/learning.dump")]) == LARGE
    with pytest.raises(PlaceTaken):
        await again.begin()
    await again.close()


async def test_what_was_given_up_in_the_middle_does_not_count_and_leaves_nothing(where: str) -> None:
    place = s3.bucket(where)
    await place.begin()
    writer = Writer(place, None)
    await writer.add("objects.tar", chunks(b"some"))
    await place.abandon()

    with pytest.raises(NoBackup):
        await Reader.open(place, passphrase=None, digest=None)
    with pytest.raises(manifest.Damaged):
        _ = [chunk async for chunk in place.get(f"{place.folder}/objects.tar")]
    await place.close()


async def test_files_of_an_attempt_that_was_cut_off_are_not_mistaken_for_those_of_the_next(where: str) -> None:
    cut_off, whole = s3.bucket(where), s3.bucket(where)
    await cut_off.begin()
    await Writer(cut_off, None).add("objects.tar", chunks(b"of the first"))
    await keep(whole)

    reader = await Reader.open(whole, passphrase=None, digest=None)
    await reader.check()
    await cut_off.close()
    await whole.close()


async def test_a_store_that_is_away_or_has_no_such_bucket_is_one_clear_line(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = s3.bucket("s3://no-such-bucket/x")
    with pytest.raises(s3.S3Trouble, match="no-such-bucket"):
        await nowhere.begin()
    await nowhere.close()

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    away = s3.bucket(where)
    with pytest.raises(s3.S3Trouble, match="cannot be used"):
        await away.begin()
    await away.close()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiobotocore.session", None)

    with pytest.raises(s3.ExtraMissing, match=r"banyan\[aws\]"):
        s3.bucket("s3://kept/x")
