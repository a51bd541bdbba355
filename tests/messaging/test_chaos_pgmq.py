"""Everything that carries an event on PGMQ is killed with -9 at random: nothing is lost, doubled, or out of order."""

from pathlib import Path

from banyan.messaging import PgmqBroker
from tests.messaging import battered, chaos, shop

BOOKINGS = 5_000


async def test_five_thousand_bookings_have_their_effects_once_and_in_order_whatever_is_killed(tmp_path: Path) -> None:
    async with battered.world(tmp_path, environ={}) as world:
        bus = PgmqBroker(world.environ["BANYAN_BUS_DATABASE_URL"])
        await bus.declare(shop.SUBSCRIPTIONS)
        async with chaos.running(world.parts):
            kills = await battered.book_while_killing(world, [*world.parts, *world.servers], bookings=BOOKINGS)
            await world.everything_came(bus)
        await bus.close()

        assert kills >= battered.KILLS
        assert len(world.known.committed) == BOOKINGS
        assert len(world.known.aborted) > BOOKINGS / 20
        await world.check()
