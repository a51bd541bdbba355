"""Whatever archiving is cut off by, a day is in the table or in the archive, never in neither."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from banyan.infra.objects import StoreTrouble
from banyan.infra.objects.folder import Folder
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging.store import archive, archiving, child
from banyan.messaging.store.reading import Store
from tests.messaging.archived import ADD, OLD, alone, at_work, files, program, run, whole
from tests.messaging.stored import NOW, days_of, fill
from tests.messaging.waiting import until


async def test_a_day_that_is_still_to_be_told_stays(settings: Settings, learning: Database) -> None:
    ids = await fill(learning, days=2, each=2, ago=OLD)
    await learning.fetch("INSERT INTO outbox (event_id) VALUES ($1)", ids[0])
    await learning.fetch(
        "INSERT INTO replay (id, filter, rate, total, last_position, end_position, state)"
        " VALUES (gen_random_uuid(), '{}', 1, 1, 3, 4, 'running')"
    )

    assert await run(settings) == 0
    assert len(await days_of(learning)) == 8 + 2

    await learning.fetch("DELETE FROM outbox")
    assert await run(settings) == 1
    await learning.fetch("UPDATE replay SET state = 'done'")
    assert await run(settings) == 1


class Killed(BaseException):
    """As if the process had ended there."""


GAPS = [
    ("write", True),  # a draft is there
    ("_check", False),  # the file was put
    ("_check", True),  # and found to be right
    ("_drop", False),  # and noted
    ("_check_count", True),  # in the middle of dropping
    ("_drop", True),  # the table has gone
]


@pytest.mark.parametrize(("gap", "after"), GAPS)
async def test_whatever_it_is_cut_off_by_nothing_is_lost_and_the_next_time_ends_it(
    settings: Settings, store: Store, learning: Database, monkeypatch: pytest.MonkeyPatch, gap: str, after: bool
) -> None:
    ids = await fill(learning, days=1, each=5, ago=OLD)
    place = archive if gap == "write" else archiving._Archiving
    step = getattr(place, gap)

    async def cut_off(*given: object, **named: object) -> object:
        if after:
            await step(*given, **named)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(place, gap, cut_off)
        with pytest.raises(Killed):
            await run(settings)
    assert await whole(store) == ids
    assert (len(await days_of(learning)) == 9) is not (gap == "_drop" and after)

    await run(settings)
    assert await whole(store) == ids
    assert len(await days_of(learning)) == 8
    assert len(files(settings)) == 1


@pytest.mark.parametrize("gap", ["_check", "_remove", "_check_count"])
async def test_strays_are_neither_lost_nor_doubled_wherever_it_is_cut_off(
    settings: Settings, store: Store, learning: Database, monkeypatch: pytest.MonkeyPatch, gap: str
) -> None:
    await learning.fetch(ADD, NOW - timedelta(days=OLD), UUID(int=5))

    async def cut_off(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(archiving._Archiving, gap, cut_off)
        with pytest.raises(Killed):
            await run(settings)
    await learning.fetch(ADD, NOW - timedelta(days=OLD), UUID(int=3))  # so the next file has another name
    await run(settings)

    assert await whole(store) == [UUID(int=5), UUID(int=3)]
    assert await learning.fetchval("SELECT count(*) FROM event_stray") == 0


async def test_a_file_that_is_not_what_was_put_keeps_the_day(
    settings: Settings, store: Store, learning: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await fill(learning, days=2, each=5, ago=OLD)
    got = Folder.get

    async def with_a_flaw(self: Folder, name: str, **some: Any) -> AsyncIterator[bytes]:
        async for piece in got(self, name, **some):
            yield bytes([piece[0] ^ 1]) + piece[1:]

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "get", with_a_flaw)
        with pytest.raises(archiving.NotAsWritten):
            await run(settings)
    assert len(await days_of(learning)) == 10
    assert await learning.fetchval("SELECT count(*) FROM archived_day") == 0
    assert await run(settings) == 2
    assert await whole(store) == ids


async def test_another_banyans_file_of_the_same_name_is_not_written_over(
    settings: Settings, learning: Database
) -> None:
    [first, _] = await fill(learning, days=1, each=2, ago=OLD)
    theirs = settings.objects / f"events/learning/dt={(NOW - timedelta(days=OLD)).date()}/{first}.parquet"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")

    assert await run(settings) == 1

    assert theirs.read_bytes() == b"theirs"
    assert len(files(settings)) == 2


async def test_a_store_that_is_away_keeps_the_days_and_says_so(
    settings: Settings, learning: Database, tmp_path: Path
) -> None:
    await fill(learning, days=1, each=1, ago=OLD)
    (tmp_path / "objects").write_text("no folder")

    with pytest.raises(StoreTrouble, match="objects cannot be used just now"):
        await run(settings)

    assert len(await days_of(learning)) == 9


async def test_who_holds_the_table_is_not_waited_for_and_keeps_nobody_waiting(
    settings: Settings, store: Store, learning: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "_TRIES", 2)
    ids = await fill(learning, days=1, each=1, ago=OLD)
    async with learning.transaction() as tx:
        await tx.fetch("SELECT FROM event")  # such as a backup
        with pytest.raises(asyncpg.LockNotAvailableError):
            await run(settings)
        assert await whole(store) == ids
    assert await run(settings) == 1, "the file that is there already is looked at, and not made again"
    assert len(files(settings)) == 1


async def test_a_file_that_is_missing_is_named_and_is_read_again_when_it_is_back(
    settings: Settings, store: Store, learning: Database
) -> None:
    [one] = await fill(learning, days=1, each=1, ago=OLD)
    await run(settings)
    [file] = files(settings)
    away = file.rename(settings.data / "away")

    for asked in (store.event(one), store.stream([], after=0, limit=9)):
        with pytest.raises(child.ArchiveUnread, match=f"has no events/learning/.*{one}"):
            await asked
    away.rename(file)
    assert await whole(store) == [one]


async def test_only_one_archives_at_a_time(settings: Settings, learning: Database) -> None:
    await fill(learning, days=1, each=1, ago=OLD)
    async with learning.connection() as other:
        await other.fetchval("SELECT pg_advisory_lock($1)", archiving._LOCK)
        assert await run(settings) == 0
        await other.fetchval("SELECT pg_advisory_unlock($1)", archiving._LOCK)
    assert await run(settings) == 1


async def test_the_program_is_killed_at_any_moment_and_ends_with_whoever_started_it(
    settings: Settings, store: Store, learning: Database, tmp_path: Path
) -> None:
    ids = await fill(learning, days=3, each=400, ago=OLD)
    for wait in (0, 0.1):
        with program(settings) as process:
            await until(lambda: at_work(learning), 30)
            await asyncio.sleep(wait)
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
        assert await whole(store, limit=len(ids)) == ids
    with program(settings) as process:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(asyncio.to_thread(process.wait), 30)
    with program(settings) as process:
        assert await asyncio.wait_for(asyncio.to_thread(process.wait), 30) == 0
    assert await whole(store, limit=len(ids)) == ids
    assert len(await days_of(learning)) == 8
    assert not list(tmp_path.glob(".archiving-*"))
    await until(lambda: alone(learning), 30)
