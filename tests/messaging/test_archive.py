"""A day that is past its retention becomes a file, which is read as before."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pyarrow.parquet as pq
import pytest

from banyan.infra import objects
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging.store import archive, days
from banyan.messaging.store.reading import EventUnknown, Store
from tests.messaging.archived import ADD, OLD, files, most_memory, program, run, whole
from tests.messaging.stored import NOW, SEALED, days_of, fill


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
