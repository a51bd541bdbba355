"""Subscribers as a process of their own: `python -m bench.subscribers DATA [NAME...]`; says when it has heard what.

It asks the bus for queues of its own beside those that Banyan has, consumes them into the databases of three contexts,
each on another server, and on SIGTERM prints, for each consumer, when its handler was called with which event, in the
machine's monotonic clock. The first name may have `ill:` before it: that one's handler fails, hangs or is slow for keys
that say so.
"""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Sequence
from unittest import mock

from banyan.contracts.events import LessonStarted
from banyan.infra import databases, logs, postgres
from banyan.infra.postgres import Connection, Database
from banyan.infra.settings import Settings
from banyan.messaging import Consumer, PgmqBroker, consuming, on, subscriptions
from banyan.messaging.consumers import Handler, Pace
from banyan.messaging.subscriptions import SUBSCRIPTIONS, Subscription

READY = "ready"
CONTEXTS = ("iam", "learning", "live")
ILL = "ill:"
SLOW_SECONDS = 0.1
OURS = tuple(Subscription(f"bench-{context}-from-learning", "live", (LessonStarted,)) for context in CONTEXTS)


def hearing(heard: dict[str, float], *, ill: bool) -> Handler:
    async def hear(_: Connection, event: LessonStarted) -> None:
        if ill:
            await _suffer(event.enrolment_id.partition("-")[0])
        heard.setdefault(event.lesson_id, time.monotonic())

    return on(LessonStarted, hear)


async def _suffer(how: str) -> None:
    if how == "fails":
        raise RuntimeError("this handler always fails")
    if how == "hangs":
        await asyncio.sleep(3600)
    if how == "slow":
        await asyncio.sleep(SLOW_SECONDS)


async def declare(settings: Settings) -> None:
    owner = PgmqBroker(databases.url(settings, "bus"), size=1)
    await owner.declare([*SUBSCRIPTIONS, *OURS])
    await owner.close()


async def consume(settings: Settings, contexts: Sequence[str], *, ill: bool) -> list[dict[str, float]]:
    """Until SIGTERM; when each consumer has heard of each lesson."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    those = [one for one, context in zip(OURS, CONTEXTS, strict=True) if context in contexts]
    heard: list[dict[str, float]] = [{} for _ in those]
    stores: list[Database] = [postgres.database(settings, context, size=5) for context in contexts]
    bus = PgmqBroker(databases.url(settings, "bus"))
    with mock.patch.object(subscriptions, "SUBSCRIPTIONS", (*SUBSCRIPTIONS, *OURS)):
        consumers = [
            Consumer(
                name=ours.consumer,
                source="learning",
                handlers=[hearing(times, ill=ill)],
                database=database,
                pace=Pace(stopping=0.5) if ill else Pace(),  # what hangs would be waited for
            )
            for ours, times, database in zip(those, heard, stores, strict=True)
        ]
        async with consuming(bus, consumers):
            await asyncio.sleep(0.5)  # until they listen
            print(READY, flush=True)
            await stop.wait()
    for database in stores:
        await database.close()
    await bus.close()
    return heard


def main(data: str, *names: str) -> None:
    settings = Settings.read({"BANYAN_DATA": data})
    with contextlib.redirect_stdout(sys.stderr):  # what is said on the output is for the bench
        logs.configure("bench")
    contexts = [name.removeprefix(ILL) for name in names] or CONTEXTS
    asyncio.run(declare(settings))
    json.dump(asyncio.run(consume(settings, contexts, ill=any(name.startswith(ILL) for name in names))), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
