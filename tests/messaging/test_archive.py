"""A day that is past its retention becomes a file, which is read back, and only then goes. Never neither."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pyarrow.parquet as pq
import pytest

from banyan.infra import objects
from banyan.infra.objects import StoreTrouble
from banyan.infra.objects.folder import Folder
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging.store import archive, archiving, child, days
from banyan.messaging.store.protocol import Archive
from banyan.messaging.store.reading import EventUnknown, Store
from tests.messaging.stored import NOW, SEALED, days_of, fill
from tests.messaging.waiting import until

OLD = 100
ADD = "INSERT INTO event (id, type, key, data, at) VALUES ($2, 'banyan.learning.x.v1', 'k', '{}', $1)"
ARCHIVERS = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'banyan-archive' AND datname = current_database()
"""


@pytest.fixture
def settings(learning: Database, learning_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("BANYAN_LEARNING_DATABASE_URL", learning_url)
    return Settings.read({"BANYAN_DATA": str(tmp_path)})


@pytest.fixture
def store(settings: Settings, learning: Database) -> Store:
    return Store(settings, "learning", learning)


def files(settings: Settings) -> list[Path]:
    return sorted(settings.objects.rglob("*.parquet"))


async def whole(store: Store, *, limit: int = 500) -> list[UUID]:
    ids: list[UUID] = []
    after: int | None = 0
    while after is not None:
        page = await store.stream([], after=after, limit=limit)
        ids += [UUID(item.id) for item in page.items]
        after = int(page.next) if page.next is not None else None
    return ids


async def run(settings: Settings) -> int:
    return await archiving.archive_due(settings, "learning", now=NOW)


async def test_a_day_past_its_retention_becomes_a_file_and_is_still_read(
    settings: Settings, store: Store, learning: Database
) -> None:
    old = await fill(learning, days=2, each=3, ago=OLD, data={"강의": 1, "pii": SEALED})
    young = await fill(learning, days=1, each=2, ago=80)
    before = await store.stream([], after=0, limit=100)

    assert await run(settings) == 2

    date = (NOW - timedelta(days=OLD)).date()
    assert files(settings)[-1] == settings.objects / f"events/learning/dt={date}/{old[3]}.parquet"
    assert f"event_{date:%Y%m%d}" not in await days_of(learning)
    noted = await learning.fetchrow("SELECT * FROM archived_day WHERE day = $1", date)
    assert noted is not None
    assert (noted["rows"], noted["bytes"]) == (3, files(settings)[-1].stat().st_size)
    assert (noted["first_id"], noted["last_position"]) == (old[3], 6)
    assert await whole(store, limit=4) == [*old, *young]
    after = await store.stream([], after=0, limit=100)
    assert [replace(item, archived=False) for item in after.items] == before.items
    shown = await store.event(old[1])
    assert (shown.archived, shown.position, shown.data["pii"]) == (True, 2, {"name": "***", "email": "***"})
    with pytest.raises(EventUnknown):
        await store.event(UUID(int=old[1].int + 1))
    assert await run(settings) == 0


async def test_the_file_has_typed_columns_for_whoever_reads_it(settings: Settings, learning: Database) -> None:
    await fill(learning, days=1, each=2, ago=OLD)

    await run(settings)

    table = pq.read_table(files(settings)[0], partitioning=None)
    assert table.schema.remove_metadata() == archive.SCHEMA
    row = table.to_pylist()[0]
    assert (row["type"], row["source"], row["key"], row["position"]) == ("banyan.learning.told.v1", "learning", "k", 1)
    assert (row["request_id"], row["traceparent"], msgspec.json.decode(row["data"])) == ("r", None, {"강의": 1})
    assert pq.ParquetFile(files(settings)[0]).metadata.row_group(0).column(8).compression == "ZSTD"


async def test_strays_of_old_days_are_archived_and_young_ones_stay(
    settings: Settings, store: Store, learning: Database
) -> None:
    for ago in (OLD, OLD, OLD + 5, 3):
        await learning.fetch(ADD, NOW - timedelta(days=ago), uuid4())
    ids = [row["id"] for row in await learning.fetch("SELECT id FROM event ORDER BY position")]

    assert await run(settings) == 2

    assert await learning.fetchval("SELECT count(*) FROM event_stray") == 1
    assert await whole(store) == ids
    assert (await store.event(ids[0])).archived
    with pytest.raises(asyncpg.RestrictViolationError):
        await learning.fetch("DELETE FROM event")


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


async def at_work(database: Database) -> bool:
    return not await alone(database)


async def alone(database: Database) -> bool:
    return not await database.fetchval(ARCHIVERS)


@contextlib.contextmanager
def program(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    order = msgspec.json.encode(Archive("learning")).decode()
    process = subprocess.Popen(
        [sys.executable, "-m", "banyan.messaging.store.program", order],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **settings.environ()},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_a_hundred_thousand_events_are_archived_a_few_megabytes_at_a_time(
    settings: Settings, learning: Database
) -> None:
    [first] = await fill(learning, days=1, each=1, ago=OLD)
    await learning.fetch(
        "INSERT INTO event (id, type, key, data, at) SELECT first_event_id(event_time($1) + n * interval '1 ms'),"
        " 'banyan.learning.x.v1', 'k', jsonb_build_object('x', (SELECT string_agg(md5(n::text || m), '')"
        " FROM generate_series(1, 6) AS m)), now() FROM generate_series(1, 100000) AS n",
        first,
    )

    with program(settings) as process:
        peak = await asyncio.to_thread(most_memory, process)

    assert process.returncode == 0
    assert await learning.fetchval("SELECT rows FROM archived_day") == 100_001
    assert 50_000 < peak < 180_000, "kilobytes, of which Python and Arrow themselves take 110,000"


def most_memory(process: "subprocess.Popen[bytes]") -> int:
    """The kilobytes that it ever used. Not from getrusage, which counts what we used when we began it, too."""
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it ends just now
            status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
            peak = max(peak, int(status.split("VmHWM:")[1].split()[0]))
        time.sleep(0.01)
    return peak


def test_a_day_is_due_when_it_has_ended_and_its_retention_too() -> None:
    assert days.first_id(NOW).int >> 80 == int(NOW.timestamp() * 1000)
    settings = Settings.read({"BANYAN_EVENT_RETENTION_DAYS": "30"})
    assert days.horizon(settings, NOW) == days.first_id(NOW - timedelta(days=37))


async def test_objects_of_the_archive_are_listed_by_context(settings: Settings, learning: Database) -> None:
    await fill(learning, days=2, each=1, ago=OLD)
    await run(settings)
    store = objects.store(settings)
    assert len([found async for found in store.list("events/learning")]) == 2
    assert [found async for found in store.list("events/iam")] == []
