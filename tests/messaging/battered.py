"""The whole way of an event, from a business to three consumers, on two PostgreSQL servers that a test may batter."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from banyan.infra import migrations
from banyan.infra.databases import Server
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.kit.errors import Unavailable
from banyan.messaging.broker import Broker
from tests.messaging import chaos, part, shop
from tests.messaging.chaos import Part, PostgresPart, Timeline

KEYS = 50
CLIENTS = 8
KILLS = 30
SETTLING = 120.0


@dataclass(slots=True)
class World:
    """`consumers` are their databases, in the order of `shop.NAMES`, and `urls` theirs; `parts` may be killed."""

    business: Database
    consumers: list[Database]
    servers: list[PostgresPart]
    parts: list[Part]
    environ: dict[str, str]
    timeline: Timeline
    dice: random.Random
    urls: list[str]
    told: shop.Told | None = None
    known: shop.Known = field(default_factory=shop.Known)

    def client(self) -> shop.Client:
        return shop.Client(self.business, self.known, random.Random(self.dice.random()), keys=KEYS, told=self.told)

    async def everything_came(self, broker: Broker) -> None:
        """Nothing waits any more, neither to be published nor to be handled: so nothing can come late, either."""
        end = time.monotonic() + SETTLING
        while waiting := await self._what_waits(broker):
            assert time.monotonic() < end, f"after {SETTLING:.0f} s there still wait: {waiting}"
            await asyncio.sleep(0.1)
        self.timeline.note("at rest")

    async def check(self) -> None:
        await shop.check_business(self.business, self.known)
        for database in self.consumers:
            await shop.check_consumer(database, self.known)

    async def _what_waits(self, broker: Broker) -> dict[str, int]:
        """How much in the outbox, in each queue, and of each consumer's effects; only what is not 0."""
        try:
            waits = {"outbox": await self.business.fetchval("SELECT count(*) FROM outbox")}
            for one, database in zip(shop.SUBSCRIPTIONS, self.consumers, strict=True):
                waits[one.queue] = (await broker.depth(one.queue)).waiting
                heard = await database.fetchval("SELECT count(DISTINCT booking) FROM heard")
                waits[one.consumer] = len(self.known.committed) - heard
        except Unavailable as fault:
            return {repr(fault): 1}
        return {name: number for name, number in waits.items() if number}


@asynccontextmanager
async def world(folder: Path, *, environ: Mapping[str, str] | None = None, relays: int = 2) -> AsyncIterator[World]:
    """Both servers run in the block; whoever needs relay and consumers starts `parts`. `environ` says which broker;
    without, it is PGMQ on the second server, where the consumers' databases are."""
    seed = chaos.new_seed()
    timeline = Timeline(seed)
    settings = Settings.read({"BANYAN_DATA": str(folder)})
    settings.make_folders()
    business, beyond = await asyncio.gather(
        *(asyncio.to_thread(PostgresPart, settings, Server(name, port, ())) for name, port in _SERVERS)
    )
    async with chaos.running([business, beyond]):
        await asyncio.gather(business.answers(), beyond.answers())
        urls = [await beyond.make(name) for name in (_database(each) for each in shop.NAMES)]
        databases = [Database(await business.make("learning"), size=CLIENTS), *(Database(url, size=2) for url in urls)]
        around = {
            "BANYAN_RELAY_LEARNING_URL": business.url("learning"),
            **(environ or {"BANYAN_BUS_DATABASE_URL": await _bus(beyond)}),
        }
        await shop.open_business(databases[0], keys=KEYS)
        for database in databases[1:]:
            await shop.open_consumer(database)
        parts = [chaos.process(f"relay-{number}", part.RELAY, folder, around) for number in range(1, relays + 1)]
        for name, url in zip(shop.NAMES, urls, strict=True):
            parts.append(chaos.process(name, name, folder, {**around, "BANYAN_LIVE_DATABASE_URL": url}))
        dice = random.Random(seed)
        try:
            yield World(databases[0], databases[1:], [business, beyond], parts, around, timeline, dice, urls)
        finally:
            print(
                timeline, *(_last_words(folder, each) for each in (business, beyond, *parts)), sep="\n"
            )  # shown where the test fails
            for database in databases:
                await database.close()


_SERVERS = (("business", 5601), ("beyond", 5602))


def _database(consumer: str) -> str:
    return consumer.replace("-", "_")


async def _bus(beyond: PostgresPart) -> str:
    url = await beyond.make("bus")
    database = Database(url, size=1)
    await migrations.migrate(database, "bus")
    await database.close()
    return url


def _last_words(folder: Path, each: Part) -> str:
    log = folder / f"{each.name}.log"
    return f"--- {each.name}\n{log.read_text(errors='replace')[-1500:] if log.exists() else ''}"


async def book_while_killing(world: World, victims: Sequence[Part], *, bookings: int, kills: int = KILLS) -> None:
    """All the bookings, spread over so many kills."""
    gate = asyncio.Semaphore(0)
    share = -(-bookings // kills)
    booking = asyncio.gather(*(_book(world.client(), gate, bookings // CLIENTS) for _ in range(CLIENTS)))
    try:
        for _ in range(kills):
            await _let_book(gate, share, world.dice.uniform(0.1, 1.0), world.dice)
            # The older of two: where starting takes long, nobody would ever come to work.
            victim = min(world.dice.choices(victims, k=2), key=lambda each: each.started_at)
            world.timeline.note(f"kill {victim.name}; {len(world.known.committed)} booked")
            await victim.kill()
            if booking.done():
                booking.result()  # a client that fails is the end
        await booking
    finally:
        booking.cancel()
        await asyncio.gather(booking, return_exceptions=True)
    world.timeline.note(f"all booked, {kills} kills; {world.known.refused} refused, {world.known.in_doubt} in doubt")


async def _let_book(gate: asyncio.Semaphore, number: int, seconds: float, dice: random.Random) -> None:
    """Some now and then, and some at once at the end: so whoever is killed then is at work."""
    for step in range(_STEPS):
        for _ in range(number * step // _STEPS, number * (step + 1) // _STEPS):
            gate.release()
        await asyncio.sleep(dice.uniform(0, 0.03) if step == _STEPS - 1 else seconds / _STEPS)


_STEPS = 4


async def book_at(world: World, *, rate: float, seconds: float) -> int:
    """Bookings that are due at an even pace, whatever became of the ones before; answers how many were committed by
    the end of these seconds."""
    begin, before = time.monotonic(), len(world.known.committed)
    dues = iter([begin + number / rate for number in range(round(rate * seconds))])

    async def book(client: shop.Client) -> None:
        for due in dues:
            await asyncio.sleep(due - time.monotonic())
            await client.book()

    booking = [asyncio.create_task(book(world.client())) for _ in range(CLIENTS)]
    await asyncio.sleep(begin + seconds - time.monotonic())
    in_time = len(world.known.committed) - before
    await asyncio.gather(*booking)
    return in_time


async def _book(client: shop.Client, gate: asyncio.Semaphore, number: int) -> None:
    for _ in range(number):
        await gate.acquire()
        await client.book()
