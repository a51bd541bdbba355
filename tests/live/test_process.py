"""The process told to stop, killed, and without its database."""

import asyncio
import time

import asyncpg

from banyan.infra.postgres import Database
from tests.conftest import Postgres

from .conftest import Start
from .living import School, Watcher, path, watching


async def test_told_to_stop_it_ends_every_stream_in_order(school: School, start: Start) -> None:
    process = await start()
    await school.enrol()
    async with watching(process, "spring", number=20) as watchers, Watcher(process, path("spring")) as stuck:
        stuck.writer.transport.pause_reading()
        reading = [watcher.read() for watcher in watchers]
        await asyncio.sleep(0.1)

        began = time.monotonic()
        process.process.terminate()
        await asyncio.gather(*reading)
        while process.process.poll() is None:
            await asyncio.sleep(0.01)

    assert time.monotonic() - began < 5
    assert process.process.returncode == 0
    assert all(watcher.ended and len(watcher.retries) == 2 for watcher in watchers)
    assert "Traceback" not in process.log()


async def test_killed_and_started_again_it_goes_on_where_each_watcher_was(school: School, start: Start) -> None:
    process = await start()
    heard: list[int] = []
    for _ in range(3):
        await school.enrol()
        headers = {"last-event-id": str(heard[-1])} if heard else {}
        async with Watcher(process, path("spring"), headers) as watcher:
            await watcher.read_until((heard[-1] if heard else 0) + 1)
            process.kill()
            await school.enrol()
            await school.enrol()
        heard += watcher.positions
        await process.start()

    async with Watcher(process, path("spring"), {"last-event-id": str(heard[-1])}) as watcher:
        await watcher.read_until(9)
    heard += watcher.positions

    assert heard == list(range(1, 10))


async def test_without_its_database_pages_stay_open_and_catch_up_later(
    postgres: Postgres, school: School, database: Database, start: Start
) -> None:
    process = await start(live_heartbeat_seconds="0.2")
    await school.enrol()
    await school.enrol()
    name = await database.fetchval("SELECT current_database()")
    async with Watcher(process, path("spring")) as before:
        await before.read_until(2)
        await _shut(postgres, name, shut=True)
        async with (
            Watcher(process, path("spring")) as fresh,
            Watcher(process, path("spring"), {"last-event-id": "1"}) as resuming,
        ):
            watchers = (before, fresh, resuming)
            reading = asyncio.gather(*(watcher.read_until(3, seconds=30) for watcher in watchers))
            await asyncio.sleep(1)
            assert [watcher.status for watcher in watchers] == [200] * 3
            assert all(watcher.beats > 0 for watcher in watchers)
            assert await process.ready() == 204, "the supervisor kills what is not ready for long"

            await _shut(postgres, name, shut=False)
            await _enrol_when_back(school)
            await reading

    assert before.positions == [2, 3]
    assert fresh.positions in ([2, 3], [3])
    assert resuming.positions == [2, 3]


async def _enrol_when_back(school: School) -> None:
    for _ in range(100):
        try:
            await school.enrol(learners=3)
            return
        except Exception:
            await asyncio.sleep(0.05)
    raise AssertionError("the database does not come back")


async def _shut(postgres: Postgres, name: str, *, shut: bool) -> None:
    connection = await asyncpg.connect(postgres.url("postgres"))
    try:
        await connection.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {0 if shut else -1}")
        await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(not shut).lower()}")
        if shut:
            await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    finally:
        await connection.close()
