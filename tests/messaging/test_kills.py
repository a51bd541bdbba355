"""Real processes, killed with -9 at random while events flow: each has its effect once, in the order of its key."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from banyan.contracts.events import AccountRegistered, PersonalData
from banyan.infra.postgres import Database
from banyan.messaging import PgmqBroker, outbox
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.messaging.persons import seal_of

EVENTS, KEYS, KILLS = 500, 20, 8


class Restarted:
    """A process that is started again whenever it is killed, as the supervisor would."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self._start = lambda: subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
        self._process = self._start()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = self._start()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def running(tmp_path: Path, *, iam_url: str, bus_url: str, learning_url: str) -> Iterator[list[Restarted]]:
    environ = {
        **os.environ,
        "BANYAN_DATA": str(tmp_path),
        "BANYAN_BUS_DATABASE_URL": bus_url,
        "BANYAN_RELAY_IAM_URL": iam_url,
        "BANYAN_RELAY_LEARNING_URL": learning_url,
    }
    relay = Restarted([sys.executable, "-m", "banyan.processes.run", "relay"], environ)
    consumer = Restarted([sys.executable, "-m", "tests.messaging.hearing", bus_url, learning_url], environ)
    try:
        yield [relay, consumer]
    finally:
        relay.end()
        consumer.end()


async def tell(iam: Database, numbers: dict[str, int], dice: random.Random) -> bool:
    """One event of one key with its next number, under the key's row lock; now and then the transaction is aborted."""
    key = f"k{dice.randrange(KEYS)}"
    aborted = dice.random() < 0.1
    with suppress(asyncpg.RaiseError):
        async with iam.transaction() as tx:
            number = await tx.fetchval("UPDATE aggregate SET number = number + 1 WHERE key = $1 RETURNING number", key)
            personal = PersonalData(name=str(number), email="x@banyan.test")
            event = AccountRegistered(account_id=key, at=datetime.now(UTC), pii=personal)
            await outbox.add(tx, event, seal=seal_of(event))
            if aborted:
                await tx.execute("DO $$ BEGIN RAISE 'changed my mind'; END $$")
        numbers[key] = max(numbers.get(key, 0), number)
    return not aborted


async def test_each_event_has_its_effect_once_and_in_order_whatever_is_killed(
    postgres,
    tmp_path: Path,
    iam: Database,
    iam_url: str,
    bus: PgmqBroker,
    bus_url: str,
    learning: Database,
    learning_url: str,
) -> None:
    dice = random.Random(20261124)
    async with iam.connection() as connection:
        await connection.execute("CREATE TABLE aggregate (key text PRIMARY KEY, number integer NOT NULL DEFAULT 0)")
        await connection.executemany("INSERT INTO aggregate (key) VALUES ($1)", [(f"k{n}",) for n in range(KEYS)])
    async with learning.connection() as connection:
        await connection.execute("CREATE TABLE seen (n bigint GENERATED ALWAYS AS IDENTITY, key text, name text)")
    await bus.declare(SUBSCRIPTIONS)
    numbers: dict[str, int] = {}
    seats = asyncio.Semaphore(4)

    async def tell_one() -> None:
        async with seats:
            while not await tell(iam, numbers, dice):
                pass
            await asyncio.sleep(0.03)

    with running(tmp_path, iam_url=iam_url, bus_url=bus_url, learning_url=learning_url) as processes:
        telling = asyncio.gather(*(tell_one() for _ in range(EVENTS)))
        for _ in range(KILLS):
            await asyncio.sleep(dice.uniform(0.3, 1.2))
            await asyncio.to_thread(dice.choice(processes).kill)
        await telling
        await everything_came(learning, time.monotonic() + 30)
    rows = [(row["key"], int(row["name"])) for row in await learning.fetch("SELECT key, name FROM seen ORDER BY n")]
    assert len(rows) == EVENTS
    for key, last in numbers.items():
        assert [number for k, number in rows if k == key] == list(range(1, last + 1))
    assert await iam.fetchval("SELECT count(*) FROM event") == EVENTS, "an aborted transaction tells nothing"


async def everything_came(learning: Database, deadline: float) -> None:
    while await learning.fetchval("SELECT count(*) FROM seen") < EVENTS:
        assert time.monotonic() < deadline, await learning.fetchval("SELECT count(*) FROM seen")
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.5)  # what is redelivered would come now
