"""The same bookings under the same kills, told by Banyan and by Celery: what is lost, doubled, or out of order."""

import asyncio
import contextlib
import io
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from banyan.kit.errors import Unavailable
from banyan.messaging import PgmqBroker
from bench import celery_app, celery_peer, servers
from bench.celery_peer import Publisher
from bench.report import Goal, Plan, Section, Table
from tests.messaging import battered, chaos, shop
from tests.messaging.battered import World
from tests.messaging.chaos import Part
from tests.messaging.shop import Booking

QUIET_SECONDS = 3.0 * celery_app.VISIBILITY_SECONDS  # so long nothing comes: nothing will
LONGEST_SECONDS = 60.0
BANYAN = "Banyan, PGMQ"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of all three consumers together. `late`: heard of after one of the same key that was booked later."""

    name: str
    committed: int
    kills: int
    lost: int
    doubled: int
    late: int
    aborted: int


def measure(plan: Plan, folder: Path, section: Section) -> None:
    bookings, kills = (480, 6) if plan.quick else (4_000, 30)
    outcomes = [asyncio.run(_of_banyan(folder / "killed-banyan", bookings, kills))]
    try:
        servers.program("redis-server")
    except servers.Missing as absent:
        section.left_out.append(f"Celery under the same kills, because {absent}")
    else:
        for late in (False, True):
            outcomes.append(asyncio.run(_of_celery(folder / f"killed-celery-{late}", bookings, kills, late=late)))
    section.tables.append(_table(outcomes))
    ours = outcomes[0]
    section.goals.append(
        Goal(
            f"effects of {bookings:,} transactions at three consumers, {kills} kills with -9",
            "none lost, doubled, out of order or of an aborted one",
            f"{ours.lost} lost, {ours.doubled} doubled, {ours.late} out of order, {ours.aborted} of aborted ones",
            not (ours.lost or ours.doubled or ours.late or ours.aborted),
        )
    )


def _table(outcomes: Sequence[Outcome]) -> Table:
    rows = [
        (each.name, f"{each.committed:,}", str(each.kills), *map(str, (each.lost, each.doubled, each.late)))
        for each in outcomes
    ]
    return Table(
        "The same kills",
        ("told by", "committed", "kills", "effects lost", "doubled", "out of order"),
        rows,
        "Eight clients book; about one transaction in ten is aborted. Killed with -9 at random and started again:"
        " what carries the events (two relays; Redis), the three consumers, and two PostgreSQL servers, one of the"
        " business and one of the consumers. Celery's tasks are tried again for as long as their database is away,"
        f" and what a dead worker held comes back after {celery_app.VISIBILITY_SECONDS} s instead of an hour; the"
        " publisher is never killed, and Celery's own retries of publishing are on.",
    )


@contextlib.asynccontextmanager
async def _world(folder: Path) -> AsyncIterator[World]:
    folder.mkdir()
    with contextlib.redirect_stdout(io.StringIO()):  # its timeline
        async with battered.world(folder) as world:
            yield world


async def _of_banyan(folder: Path, bookings: int, kills: int) -> Outcome:
    async with _world(folder) as world:
        bus = PgmqBroker(world.environ["BANYAN_BUS_DATABASE_URL"])
        await bus.declare(shop.SUBSCRIPTIONS)
        async with chaos.running(world.parts):
            victims = [*world.parts, *world.servers]
            await battered.book_while_killing(world, victims, bookings=bookings, kills=kills)
            await world.everything_came(bus)
        await bus.close()
        heard = [await shop.heard_by(each) for each in world.consumers]
        return _outcome(BANYAN, world, heard, kills)


async def _of_celery(folder: Path, bookings: int, kills: int, *, late: bool) -> Outcome:
    async with _world(folder) as world:
        port = servers.free_port()
        publisher = Publisher(port)
        world.told = publisher_of(publisher)
        for database in world.consumers:
            async with database.connection() as connection:
                await connection.execute(celery_app.HEARD)
        parts = _parts(world, folder, port, late=late)
        async with chaos.running(parts):
            while not servers.listens(port):
                await asyncio.sleep(0.05)
            await battered.book_while_killing(world, [*parts, *world.servers], bookings=bookings, kills=kills)
            await _until_quiet(world)
        await asyncio.to_thread(publisher.close)
        heard = [await _heard(world, number) for number in range(len(world.consumers))]
        return _outcome(f"Celery, acks_late {'on' if late else 'off'}", world, heard, kills)


def _parts(world: World, folder: Path, port: int, *, late: bool) -> list[Part]:
    parts = [Part("redis", celery_peer.redis(folder / "redis", port), {}, folder / "redis.log")]
    for queue, url in zip(celery_peer.QUEUES, world.urls, strict=True):
        told = celery_peer.environ(port, url, late=late)
        parts.append(Part(queue, celery_peer.worker(queue), told, folder / f"{queue}.log"))
    return parts


def publisher_of(publisher: Publisher) -> "shop.Told":
    async def tell(booking: Booking) -> None:
        try:
            await publisher.publish(booking.id, booking.key, booking.number)
        except Exception as fault:  # whatever Celery raises: the transaction has been committed, and nobody else tells
            print(f"not published: {fault!r}", file=sys.stdout)

    return tell


async def _heard(world: World, number: int) -> list[Booking]:
    rows = await world.consumers[number].fetch("SELECT key, number, booking FROM bench_celery ORDER BY place")
    return [Booking(row["key"], row["number"], row["booking"]) for row in rows]


async def _until_quiet(world: World) -> None:
    """Nothing more has come for as long as something may be held."""
    seen, quiet, waited = -1, 0.0, 0.0
    wanted = len(world.known.committed) * len(world.consumers)
    while quiet < QUIET_SECONDS and waited < LONGEST_SECONDS:
        await asyncio.sleep(0.5)
        waited += 0.5
        with contextlib.suppress(Unavailable):
            heard = [await _heard(world, number) for number in range(len(world.consumers))]
            now = sum(len(each) for each in heard)
            quiet = quiet + 0.5 if now == seen else 0.0
            seen = now
            if sum(len(set(each)) for each in heard) >= wanted and quiet >= celery_app.VISIBILITY_SECONDS + 1:
                return


def _outcome(name: str, world: World, heard: Sequence[Sequence[Booking]], kills: int) -> Outcome:
    none = Outcome(name, len(world.known.committed), kills, 0, 0, 0, 0)
    for each in heard:
        times = Counter(each)
        last: dict[str, int] = {}
        late = 0
        for booking in dict.fromkeys(each):  # a second time is doubled, not late
            late += booking.number < last.get(booking.key, 0)
            last[booking.key] = max(booking.number, last.get(booking.key, 0))
        none = replace(
            none,
            lost=none.lost + len(world.known.committed - set(each)),
            doubled=none.doubled + sum(times.values()) - len(times),
            late=none.late + late,
            aborted=none.aborted + sum(booking.id in world.known.aborted for booking in times),
        )
    return none
