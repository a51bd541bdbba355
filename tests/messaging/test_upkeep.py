"""The job that keeps a store: days ahead, the archive, old inbox rows; one part's trouble is not another's."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from banyan.contracts.events import AccountErased
from banyan.infra.postgres import Database
from banyan.infra.settings import SettingError, Settings
from banyan.messaging import outbox
from banyan.messaging.consumers import at_once, consuming
from banyan.messaging.pace import horizon_of
from banyan.messaging.store import child, days, upkeep
from banyan.messaging.store.reading import Store
from banyan.messaging.store.upkeep import Upkeep
from tests.infra import s3_server
from tests.messaging import failing
from tests.messaging.stored import NOW, days_of, fill
from tests.messaging.waiting import until

OLD = 100
SQL = "INSERT INTO event (id, type, key, data, at) VALUES ($1, 'banyan.learning.x.v1', 'k', '{}', $2)"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, event_upkeep=0.2)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server.running(tmp_path_factory.mktemp("s3")) as url:
        yield url


async def drop_day(database: Database, day: datetime) -> str:
    name = f"event_{day:%Y%m%d}"
    await database.fetch(f"DROP TABLE {name}")
    return name


async def test_days_are_made_a_week_ahead_and_what_strayed_meanwhile_moves_into_them(learning: Database) -> None:
    today, later = datetime.now(UTC), datetime.now(UTC) + timedelta(days=5)
    lost = {await drop_day(learning, today), await drop_day(learning, later)}
    async with learning.transaction() as tx:
        await outbox.add(tx, AccountErased(account_id="a", at=today))
    assert await learning.fetchval("SELECT count(*) FROM event_stray") == 1

    assert await days.make_ahead(learning, now=today) == 2
    assert await days.make_ahead(learning, now=today) == 0

    assert lost <= set(await days_of(learning))
    assert len(await days_of(learning)) == 8
    assert await learning.fetchval("SELECT count(*) FROM event_stray") == 0
    assert await learning.fetchval("SELECT count(*) FROM outbox JOIN event ON id = event_id") == 1
    with pytest.raises(asyncpg.RestrictViolationError):
        await learning.fetch(f"DELETE FROM event_{today:%Y%m%d}")


async def test_who_holds_the_store_is_not_waited_for_long_and_events_are_taken_all_the_same(
    learning: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(days, "_TRIES", 2)
    today = datetime.now(UTC)
    await drop_day(learning, today)
    async with learning.transaction() as tx:
        await tx.fetch("SELECT FROM event")  # such as a backup
        begun = asyncio.get_running_loop().time()
        assert await days.make_ahead(learning, now=today) == 0
        assert asyncio.get_running_loop().time() - begun < 10
        async with learning.transaction() as other:
            await outbox.add(other, AccountErased(account_id="a", at=today))
    assert await days.make_ahead(learning, now=today) == 1


async def test_two_processes_of_a_context_make_the_same_days(learning: Database) -> None:
    for ahead in range(8):
        await drop_day(learning, NOW + timedelta(days=ahead))
    await asyncio.gather(*(days.make_ahead(learning, now=NOW) for _ in range(4)))
    assert len(await days_of(learning)) == 8


async def test_the_job_makes_days_archives_them_and_forgets(settings: Settings, learning: Database) -> None:
    await fill(learning, days=1, each=2, ago=OLD)
    missing = await drop_day(learning, NOW + timedelta(days=3))
    inbox = "INSERT INTO inbox (consumer, event_id) SELECT $1, first_event_id($2) FROM generate_series(1, 1)"
    for consumer in ("a-from-b", "c-from-d"):
        for ago in (1, 96, 99):
            await learning.fetch(inbox, consumer, NOW - timedelta(days=ago))

    async with Upkeep(settings, "learning", learning).running(after=at_once):
        await until(lambda: archived(learning, 1), 30)
        await until(lambda: remembered(learning, 4), 30)

    assert missing in await days_of(learning)
    assert len(await days_of(learning)) == 8


async def test_forgetting_goes_on_where_it_is_many_rows(
    settings: Settings, learning: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_FORGOTTEN_AT_A_TIME", 7)
    await learning.fetch(
        "INSERT INTO inbox (consumer, event_id) SELECT 'a', first_event_id($1::timestamptz + n * interval '1 s')"
        " FROM generate_series(1, 50) AS n",
        NOW - timedelta(days=OLD),
    )
    await Upkeep(settings, "learning", learning).keep()
    assert await remembered(learning, 0)


async def test_what_was_forgotten_under_a_shorter_retention_is_not_handled_again_under_a_longer_one(
    settings: Settings, learning: Database
) -> None:
    await failing.make_seen(learning)
    forgotten, kept, new = (
        UUID(int=days.first_id(NOW - timedelta(days=ago)).int | 7 << 76 | 2 << 62) for ago in (50, 5, 2)
    )
    for handled in (forgotten, kept):
        await learning.fetch("INSERT INTO inbox (consumer, event_id) VALUES ($1, $2)", failing.NAME, handled)
    await Upkeep(replace(settings, event_retention=10.0), "learning", learning).keep()
    await Upkeep(settings, "learning", learning).keep()
    assert await remembered(learning, 1)

    broker = await failing.broker()
    for number, event_id in enumerate((forgotten, kept, new)):
        await broker.publish([failing.told(f"key-{number}", number, event_id=event_id)])
    async with consuming(broker, [failing.consumer(learning, horizon=horizon_of(settings.event_retention))]):
        while await broker.waiting():
            await asyncio.sleep(0.02)
    assert await failing.seen(learning) == [2]
    error = await learning.fetchval("SELECT error FROM dead_letter")
    assert f"since {NOW - timedelta(days=18):%Y-%m-%d} only" in error


async def test_one_parts_trouble_keeps_none_of_the_others(
    settings: Settings, learning: Database, tmp_path: Path
) -> None:
    await fill(learning, days=1, each=2, ago=OLD)
    (tmp_path / "objects").write_text("no folder")
    await learning.fetch(
        "INSERT INTO inbox (consumer, event_id) VALUES ('a', first_event_id($1))", NOW - timedelta(days=OLD)
    )

    await Upkeep(settings, "learning", learning).keep()
    assert await remembered(learning, 0)
    with pytest.raises(child.ArchivingFailed, match="objects cannot be used just now"):
        await child.archive(settings, "learning")
    assert len(await days_of(learning)) == 9


async def test_a_program_that_does_not_end_is_ended(
    settings: Settings, learning: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_ARCHIVING_SECONDS", 0.05)
    with pytest.raises(child.ArchivingFailed, match="took more than"):
        await child.archive(settings, "learning")


async def test_an_archive_in_s3_is_written_and_read_like_a_folder(
    learning: Database, settings: Settings, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    at = Settings.read({"BANYAN_DATA": str(tmp_path), "BANYAN_OBJECT_STORE": f"s3://kept/{uuid4().hex}"})
    ids = await fill(learning, days=2, each=300, ago=OLD)

    await child.archive(at, "learning")

    store = Store(at, "learning", learning)
    assert len(await days_of(learning)) == 8
    page = await store.stream([], after=150, limit=1_000)
    assert [item.id for item in page.items] == [str(one) for one in ids[150:]]
    assert (await store.event(ids[7])).archived


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BANYAN_EVENT_RETENTION_DAYS", "0"),
        ("BANYAN_EVENT_RETENTION_DAYS", "1e11"),
        ("BANYAN_EVENT_RETENTION_DAYS", "nan"),
        ("BANYAN_EVENT_UPKEEP_SECONDS", "0"),
        ("BANYAN_EVENT_UPKEEP_SECONDS", "1000000"),
    ],
)
def test_what_an_operator_cannot_mean_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=variable):
        Settings.read({variable: value})


async def archived(database: Database, count: int) -> bool:
    return await database.fetchval("SELECT count(*) FROM archived_day") == count and len(await days_of(database)) == 8


async def remembered(database: Database, count: int) -> bool:
    return bool(await database.fetchval("SELECT count(*) FROM inbox") == count)
