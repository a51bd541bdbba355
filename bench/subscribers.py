"""Three subscribers as a process of their own: `python -m bench.subscribers DATA`; says when it has heard what.

It asks the bus for queues of its own beside those that Banyan has, consumes them into the databases of three contexts,
each on another server, and on SIGTERM prints, for each consumer, when its handler was called with which event, in the
machine's monotonic clock.
"""

import asyncio
import json
import signal
import sys
import time
from unittest import mock

from banyan.contracts.events import LessonStarted
from banyan.infra import databases, postgres
from banyan.infra.postgres import Connection, Database
from banyan.infra.settings import Settings
from banyan.messaging import Consumer, PgmqBroker, consuming, on, subscriptions
from banyan.messaging.consumers import Handler
from banyan.messaging.subscriptions import SUBSCRIPTIONS, Subscription

READY = "ready"
CONTEXTS = ("iam", "learning", "live")
OURS = tuple(Subscription(f"bench-{context}-from-learning", "live", (LessonStarted,)) for context in CONTEXTS)


def hearing(heard: dict[str, float]) -> Handler:
    async def hear(_: Connection, event: LessonStarted) -> None:
        heard.setdefault(event.lesson_id, time.monotonic())

    return on(LessonStarted, hear)


async def declare(settings: Settings) -> None:
    owner = PgmqBroker(databases.url(settings, "bus"), size=1)
    await owner.declare([*SUBSCRIPTIONS, *OURS])
    await owner.close()


async def consume(settings: Settings) -> list[dict[str, float]]:
    """Until SIGTERM; when each consumer has heard of each lesson."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    heard: list[dict[str, float]] = [{} for _ in OURS]
    stores: list[Database] = [postgres.database(settings, context, size=5) for context in CONTEXTS]
    bus = PgmqBroker(databases.url(settings, "bus"))
    with mock.patch.object(subscriptions, "SUBSCRIPTIONS", (*SUBSCRIPTIONS, *OURS)):
        consumers = [
            Consumer(name=ours.consumer, source="learning", handlers=[hearing(times)], database=database)
            for ours, times, database in zip(OURS, heard, stores, strict=True)
        ]
        async with consuming(bus, consumers):
            await asyncio.sleep(0.5)  # until they listen
            print(READY, flush=True)
            await stop.wait()
    for database in stores:
        await database.close()
    await bus.close()
    return heard


def main(data: str) -> None:
    settings = Settings.read({"BANYAN_DATA": data})
    asyncio.run(declare(settings))
    json.dump(asyncio.run(consume(settings)), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
