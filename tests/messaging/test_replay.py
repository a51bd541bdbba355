"""What has happened is told again: as much as was asked for, in its order, no faster than asked, whatever dies."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest

from banyan.contracts.messaging import Replay, ReplayWish, WorkState
from banyan.infra.postgres import Database
from banyan.kit.errors import Refusal
from banyan.kit.ids import uuid7
from banyan.messaging.work import replays as work
from banyan.messaging.work import wishes
from banyan.messaging.work.replays import ReplayIsOver, Replays, ReplayUnknown, TooManyReplays
from tests.messaging.waiting import until

REGISTERED = "banyan.iam.account-registered"
CHANGED = "banyan.iam.profile-changed"


async def stored(database: Database, count: int, *, keys: int = 3, kind: str = f"{REGISTERED}.v1") -> list[UUID]:
    """So many events that the relay has published already."""
    ids = [uuid7() for _ in range(count)]
    rows = [(one, kind, f"person-{number % keys}", "{}") for number, one in enumerate(ids)]
    async with database.connection() as connection:
        await connection.executemany(
            "INSERT INTO event (id, type, key, data, at) VALUES ($1, $2, $3, $4::jsonb, now())", rows
        )
    return ids


async def outbox(database: Database) -> Sequence[UUID]:
    return [row["event_id"] for row in await database.fetch("SELECT event_id FROM outbox ORDER BY position")]


async def nothing_missing() -> None:
    return None


@asynccontextmanager
async def at_work(replays: Replays) -> AsyncIterator[None]:
    async with replays.running(after=nothing_missing):
        yield


async def over(replays: Replays, begun: Replay, *, seconds: float = 10) -> Replay:
    async def is_over() -> bool:
        return (await shown(replays, begun)).state is not WorkState.RUNNING

    await until(is_over, seconds)
    return await shown(replays, begun)


async def shown(replays: Replays, begun: Replay) -> Replay:
    return next(one for one in (await replays.latest()).items if one.id == begun.id)


async def test_all_of_a_type_is_told_again_in_its_order(iam: Database) -> None:
    wanted = await stored(iam, 250)
    await stored(iam, 20, kind=f"{CHANGED}.v1")
    wanted += await stored(iam, 1, kind=f"{REGISTERED}.v2")
    replays = Replays(iam, "iam")

    async with at_work(replays):
        done = await over(replays, await replays.ask(ReplayWish(types=[REGISTERED], rate=5000)))

    assert (done.state, done.done, done.total) == (WorkState.DONE, 251, 251)
    assert await outbox(iam) == wanted


async def test_one_version_one_key_and_times_choose(iam: Database) -> None:
    await stored(iam, 30)
    await stored(iam, 5, kind=f"{REGISTERED}.v2")
    replays = Replays(iam, "iam")
    now = datetime.now(UTC)

    async def count(**wish: object) -> int:
        return (await replays.ask(ReplayWish(dry_run=True, **wish))).total  # type: ignore[arg-type]  # by name

    assert await count(types=[f"{REGISTERED}.v1"]) == 30
    assert await count(key="person-0") == 12
    assert await count(since=now - timedelta(minutes=1)) == 35
    assert await count(until=now - timedelta(minutes=1)) == 0
    assert await count(types=[f"{REGISTERED}.v1"], key="person-1", since=now - timedelta(minutes=1)) == 10
    assert await count(all=True) == 35
    assert await outbox(iam) == []
    assert (await replays.latest()).items == []


async def test_what_is_older_than_inboxes_remember_would_be_a_dead_letter_and_is_left_out(iam: Database) -> None:
    [old, new] = await stored(iam, 2)
    older = UUID(int=old.int - (int(timedelta(days=30) / timedelta(milliseconds=1)) << 80))
    await iam.fetch(
        "INSERT INTO event (id, type, key, data, at) VALUES ($1, $2, 'person-0', '{}', now() - interval '30 days')",
        older,
        f"{REGISTERED}.v1",
    )
    replays = Replays(iam, "iam", remembered=timedelta(days=17).total_seconds())
    async with at_work(replays):
        done = await over(replays, await replays.ask(ReplayWish(all=True)))
    assert (done.total, done.done, await outbox(iam)) == (2, 2, [old, new])
    assert done.detail == "What is older than consumers remember is not replayed."
    assert (await Replays(iam, "iam").ask(ReplayWish(all=True, dry_run=True))).total == 3


async def test_for_one_consumer_only_what_it_hears_of_is_told_and_to_it_alone(iam: Database) -> None:
    wanted = await stored(iam, 5)
    await stored(iam, 5, kind="banyan.iam.session-revoked.v1")
    replays = Replays(iam, "iam")

    async with at_work(replays):
        done = await over(replays, await replays.ask(ReplayWish(all=True, consumer="learning-from-iam")))

    rows = await iam.fetch("SELECT event_id, consumer FROM outbox ORDER BY position")
    assert [(row["event_id"], row["consumer"]) for row in rows] == [(one, "learning-from-iam") for one in wanted]
    assert done.total == done.done == 5


async def test_it_is_no_faster_than_asked(iam: Database) -> None:
    await stored(iam, 300)
    replays = Replays(iam, "iam")
    started = time.monotonic()

    async with at_work(replays):
        await over(replays, await replays.ask(ReplayWish(all=True, rate=200)))

    # The first steps may tell a little ahead.
    assert time.monotonic() - started > 1.0


async def test_it_waits_while_the_relay_is_behind(iam: Database) -> None:
    await stored(iam, 100)
    replays = Replays(iam, "iam")

    async with at_work(replays):
        begun = await replays.ask(ReplayWish(all=True, rate=10))
        await asyncio.sleep(0.3)
        await iam.fetch("INSERT INTO outbox (event_id) SELECT gen_random_uuid() FROM generate_series(1, 30)")
        await asyncio.sleep(0.3)
        stuck = (await shown(replays, begun)).done
        await asyncio.sleep(0.8)
        assert (await shown(replays, begun)).done == stuck < 100

        await iam.fetch("DELETE FROM outbox")

        async def goes_on() -> bool:
            return (await shown(replays, begun)).done > stuck

        await until(goes_on)


async def test_who_takes_over_in_the_middle_leaves_no_gap_and_no_double(iam: Database) -> None:
    wanted = await stored(iam, 400)
    begun = await Replays(iam, "iam").ask(ReplayWish(all=True, rate=800))

    for _ in range(3):  # each is cut off wherever it is, as by a kill
        async with at_work(Replays(iam, "iam")):
            await asyncio.sleep(0.15)
    last = Replays(iam, "iam")
    async with at_work(last):
        done = await over(last, begun)

    assert done.done == 400
    assert await outbox(iam) == wanted


async def test_two_processes_at_once_tell_each_event_once(iam: Database) -> None:
    wanted = await stored(iam, 300)
    one, another = Replays(iam, "iam"), Replays(iam, "iam")

    async with at_work(one), at_work(another):
        await over(one, await one.ask(ReplayWish(all=True, rate=2000)))

    assert await outbox(iam) == wanted


async def test_a_cancelled_one_stops_and_says_so_when_asked_again(iam: Database) -> None:
    await stored(iam, 200)
    replays = Replays(iam, "iam")

    async with at_work(replays):
        begun = await replays.ask(ReplayWish(all=True, rate=20))
        await replays.cancel(UUID(begun.id))
        told = len(await outbox(iam))
        await asyncio.sleep(0.5)

        assert len(await outbox(iam)) <= told + 6  # a step that was under way
        assert (await shown(replays, begun)).state is WorkState.CANCELLED
        with pytest.raises(ReplayIsOver):
            await replays.cancel(UUID(begun.id))
        with pytest.raises(ReplayUnknown):
            await replays.cancel(uuid4())


async def test_two_run_at_once_and_a_third_is_refused(iam: Database) -> None:
    await stored(iam, 10)
    replays = Replays(iam, "iam")
    first = await replays.ask(ReplayWish(all=True, rate=1))
    await replays.ask(ReplayWish(key="person-1", rate=1))

    with pytest.raises(TooManyReplays, match="2 replays run already"):
        await replays.ask(ReplayWish(all=True))
    await replays.cancel(UUID(first.id))
    await replays.ask(ReplayWish(all=True))


async def test_archived_days_are_named(iam: Database) -> None:
    await iam.fetch(
        "INSERT INTO archived_day (day, strays, name, rows, bytes, checksum, first_id, last_id, first_position,"
        " last_position) SELECT day::date, false, day::text, 1, 1, 'x', gen_random_uuid(), gen_random_uuid(), 1, 1"
        " FROM generate_series('2026-01-01'::date, '2026-01-12', '1 day') AS day"
    )
    replays = Replays(iam, "iam")

    whole = await replays.ask(ReplayWish(all=True, dry_run=True, consumer="learning-from-iam"))
    part = await replays.ask(ReplayWish(since=datetime(2026, 1, 12, tzinfo=UTC), dry_run=True))

    assert whole.detail == "12 days are in the archive and not replayed; `banyan learning rebuild` reads it."
    assert part.detail.startswith("1 day is in the archive")


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (ReplayWish(), "tell everything again"),
        (ReplayWish(consumer="learning-from-iam"), "tell everything again"),
        (ReplayWish(all=True, rate=0), "1 to 20,000"),
        (ReplayWish(all=True, rate=20_001), "1 to 20,000"),
        (ReplayWish(since=NOW + timedelta(days=1)), "in the future"),
        (ReplayWish(since=NOW, until=NOW), "must be after"),
        (ReplayWish(types=["banyan.iam.account-registred"]), "Did you mean 'banyan.iam.account-registered'"),
        (ReplayWish(types=["banyan.learning.student-enrolled"]), "no event type"),
        (ReplayWish(types=["%"]), "no event type '%'"),
        (ReplayWish(all=True, consumer="nobody-from-iam"), "There are learning-from-iam, live-from-learning"),
        (ReplayWish(all=True, consumer="live-from-learning"), "of iam's events. There are learning-from-iam"),
        (ReplayWish(types=["banyan.iam.session-revoked"], consumer="learning-from-iam"), "does not hear of"),
        (ReplayWish(key="a\0b"), "No event has such a key"),
        (ReplayWish(key="k" * 257), "No event has such a key"),
        (ReplayWish(since=datetime.max.replace(tzinfo=timezone(timedelta(hours=-9)))), "in the future"),
    ],
)
def test_what_cannot_be_meant_is_refused(wish: ReplayWish, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        wishes.filter_of(wish, source="iam", now=NOW)


@pytest.mark.parametrize("hours", [-9, 0, 9])
async def test_the_ends_of_the_calendar_are_times_too(iam: Database, hours: int) -> None:
    await stored(iam, 3)
    zone = timezone(timedelta(hours=hours))
    wish = ReplayWish(since=datetime.min.replace(tzinfo=zone), until=datetime.max.replace(tzinfo=zone), dry_run=True)
    assert (await Replays(iam, "iam").ask(wish)).total == 3


async def test_every_text_prepares(iam: Database) -> None:
    chosen = wishes.filter_of(
        ReplayWish(types=[REGISTERED], key="a", since=NOW, until=NOW + timedelta(1)), source="iam", now=NOW
    )
    texts = [text for name, text in vars(work).items() if name.isupper() and isinstance(text, str)]
    assert len(texts) == 14
    async with iam.connection() as connection:
        for text in texts:
            first = 5 if text == work.TELL else 1
            await connection.prepare(text.format(conditions=chosen.conditions(first)[0]))
