"""A relay or a consumer as a process of its own, so that a test can kill it: `python -m tests.messaging.part NAME`.

Where it finds what, BANYAN_* and AWS_* say, as they say it to Banyan's own processes.
"""

import asyncio
import os
import sys
from unittest import mock

import uvloop

from banyan.contracts.events import LessonStarted
from banyan.infra import databases, logs, postgres
from banyan.infra.settings import Settings
from banyan.messaging import Consumer, choosing, consuming, on, relay, subscriptions
from banyan.messaging.consumers import Pace, at_once
from banyan.messaging.pgmq import PUBLISHER
from tests.messaging import shop

RELAY = "relay"
PACE = Pace(hold=2.0, first_retry=0.05, longest_retry=0.5)  # brisk: what a dead process held comes back soon


async def carry(settings: Settings) -> None:
    sources = {"learning": databases.relay_url(settings, "learning")}
    async with relay.relaying(sources, choosing.publisher(settings, PUBLISHER), after=at_once):
        await asyncio.Event().wait()


async def consume(settings: Settings, name: str) -> None:
    consumer = Consumer(
        name=name,
        source="learning",
        handlers=[on(LessonStarted, shop.hear)],
        database=postgres.database(settings, "live", size=5),
        pace=PACE,
    )
    async with consuming(choosing.broker(settings, "live"), [consumer]):
        await asyncio.Event().wait()


def main(name: str) -> None:
    settings = Settings.read(os.environ)
    logs.configure(name)
    with mock.patch.object(subscriptions, "SUBSCRIPTIONS", shop.SUBSCRIPTIONS):
        uvloop.run(carry(settings) if name == RELAY else consume(settings, name))


if __name__ == "__main__":
    main(sys.argv[1])
