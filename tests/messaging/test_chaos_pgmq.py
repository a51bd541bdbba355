"""Everything that carries an event on PGMQ is killed with -9 at random: nothing is lost, doubled, or out of order."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from banyan.messaging import PgmqBroker
from tests.messaging import battered, chaos, shop
from tests.messaging.battered import World

BOOKINGS = 5_000
RATE = 100
AWAY = 6.0  # enough for every pause between two tries to be at its longest: a minute is no different


@asynccontextmanager
async def on_pgmq(folder: Path) -> AsyncIterator[tuple[World, PgmqBroker]]:
    async with battered.world(folder) as world:
        bus = PgmqBroker(world.environ["BANYAN_BUS_DATABASE_URL"])
        await bus.declare(shop.SUBSCRIPTIONS)
        async with chaos.running(world.parts):
            yield world, bus
        await world.check()
        await bus.close()


async def test_five_thousand_bookings_have_their_effects_once_and_in_order_whatever_is_killed(tmp_path: Path) -> None:
    async with on_pgmq(tmp_path) as (world, bus):
        await battered.book_while_killing(world, [*world.parts, *world.servers], bookings=BOOKINGS)
        await world.everything_came(bus)

        assert len(world.known.committed) == BOOKINGS
        assert len(world.known.aborted) > BOOKINGS / 20


async def test_bookings_go_on_at_their_rate_while_the_bus_hangs_and_is_gone_and_are_heard_of_afterwards(
    tmp_path: Path,
) -> None:
    async with on_pgmq(tmp_path) as (world, bus):
        _, beyond = world.servers
        await battered.book_at(world, rate=RATE, seconds=1.0)
        await world.everything_came(bus)

        going_on = asyncio.create_task(battered.book_at(world, rate=RATE, seconds=AWAY))
        beyond.signal(signal.SIGSTOP)
        await asyncio.sleep(AWAY / 2)
        async with beyond.gone():
            in_time = await going_on
            waiting = await world.business.fetchval("SELECT count(*) FROM outbox")
        await world.everything_came(bus)

        assert in_time >= 0.95 * RATE * AWAY
        assert waiting >= in_time, "what nobody could be told of waited"
