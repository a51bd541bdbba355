"""Everything that carries an event over SNS and SQS is killed with -9 at random, and the wire to AWS is cut and lies:
nothing is lost, doubled, or out of order."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import Popen
from unittest import mock

from banyan.infra.settings import Settings
from banyan.messaging import choosing
from banyan.messaging.sqs.broker import SqsBroker
from tests import ministack
from tests.messaging import battered, chaos, shop
from tests.messaging.battered import World
from tests.messaging.wire import Faults, Wire

BOOKINGS = 5_000
LIES = 100  # calls that met a fault of the wire, at least
RATE = 100
AWAY = 6.0  # enough for every pause between two tries to be at its longest: a minute is no different

# There all the time; then, one after the other and again, one of the storms.
WEATHER = Faults(answer_500=0.01, throttle=0.01, partial=0.02, lose_answer=0.01, forget_delete=0.02, twice=0.02)
STORMS = {
    "answers with 500": Faults(answer_500=0.5),
    "throttles": Faults(throttle=0.7),
    "does a part of each batch": Faults(partial=0.8),
    "ends connections before the answer": Faults(lose_answer=0.4),
    "cuts answers in half": Faults(truncate=0.4),
    "forgets deletes": Faults(forget_delete=0.7),
    "does everything twice": Faults(twice=0.7),
    "is slow": Faults(slow=0.8, slow_seconds=0.7),
    "says nothing": Faults(hang=0.5),
    "is cut off": Faults(),
    "stands still": Faults(),
}


@asynccontextmanager
async def on_sqs(folder: Path) -> AsyncIterator[tuple[World, SqsBroker, Wire, "Popen[bytes]"]]:
    with ministack.ministack_process("sns", "sqs", "sts") as (url, server):
        async with Wire(url, seed=chaos.new_seed()) as wire:
            environ = {"BANYAN_BROKER": "sns+sqs", **ministack.environ(wire.url)}
            with mock.patch.dict("os.environ", environ):
                async with battered.world(folder, environ=environ) as world:
                    aws = choosing.publisher(Settings.read({"BANYAN_DATA": str(folder), **environ}), "relay")
                    await aws.declare(shop.SUBSCRIPTIONS)
                    async with chaos.running(world.parts):
                        yield world, aws, wire, server
                    await world.check()
                    await aws.close()


async def test_five_thousand_bookings_have_their_effects_once_and_in_order_whatever_is_killed_or_cut(
    tmp_path: Path,
) -> None:
    async with on_sqs(tmp_path) as (world, aws, wire, server):
        storms = asyncio.create_task(weather(world, wire, server))
        try:
            await battered.book_while_killing(world, [*world.parts, *world.servers], bookings=BOOKINGS)
            while lied_to(wire) < LIES:  # where the machine is busy, most of the work is still to be done
                await asyncio.sleep(0.1)
        finally:
            storms.cancel()
            await asyncio.gather(storms, return_exceptions=True)
            await wire.mend()
        await world.everything_came(aws)

        assert len(world.known.committed) == BOOKINGS
        assert len(world.known.aborted) > BOOKINGS / 20


def lied_to(wire: Wire) -> int:
    return sum(1 for _, fault in wire.calls if fault)


async def weather(world: World, wire: Wire, server: "Popen[bytes]") -> None:
    dice = random.Random(world.dice.random())
    while True:
        for name in dice.sample(list(STORMS), len(STORMS)):
            world.timeline.note(f"AWS {name}")
            wire.faults = STORMS[name]
            seconds = dice.uniform(0.3, 1.2)
            if name == "is cut off":
                await wire.cut()
                await asyncio.sleep(seconds)
            elif name == "stands still":
                await stand_still(server, seconds)
            else:
                await asyncio.sleep(seconds)
            await wire.mend()
            wire.faults = WEATHER
            await asyncio.sleep(dice.uniform(0.2, 0.6))


async def stand_still(server: "Popen[bytes]", seconds: float) -> None:
    server.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        server.send_signal(signal.SIGCONT)


async def test_bookings_go_on_at_their_rate_while_aws_stands_still_and_is_gone_and_are_heard_of_afterwards(
    tmp_path: Path,
) -> None:
    async with on_sqs(tmp_path) as (world, aws, wire, server):
        await battered.book_at(world, rate=RATE, seconds=1.0)
        await world.everything_came(aws)

        going_on = asyncio.create_task(battered.book_at(world, rate=RATE, seconds=AWAY))
        await stand_still(server, AWAY / 2)
        await wire.cut()
        in_time = await going_on
        waiting = await world.business.fetchval("SELECT count(*) FROM outbox")
        await wire.mend()
        await world.everything_came(aws)

        assert in_time >= 0.95 * RATE * AWAY
        assert waiting >= 0.4 * in_time, "what nobody could be told of waited"
