"""What follows from an event belongs to the trace of the request that made it happen."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from banyan.contracts.events import AccountErased, AccountRegistered, ProfileChanged
from banyan.infra.postgres import Connection, Database
from banyan.infra.telemetry import export, tracing
from banyan.infra.telemetry.figures import LEDGER
from banyan.messaging import Consumer, PgmqBroker, consuming, measuring, on, outbox, relay
from banyan.messaging.consumers import at_once
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.pace import Pace
from banyan.messaging.subscriptions import SUBSCRIPTIONS, subscription_of
from tests.fakes.collector import Collector, Seen, collecting
from tests.fakes.recording import SAMPLED, TRACE, recording
from tests.messaging.waiting import until

NAME = "learning-from-iam"
QUEUE = subscription_of(NAME).queue


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[Collector]:
    async with collecting(tmp_path / "monitor.sock") as running:
        with recording("a-process", monitor=export.Monitor(tmp_path / "monitor.sock")):
            yield running


async def erase(iam: Database, key: str, *, traceparent: str = "") -> None:
    span = tracing.remote(traceparent, "DELETE /api/v1/me", "server", {})
    with tracing.within(span):
        async with iam.transaction() as tx:
            await outbox.add(tx, AccountErased(account_id=key, at=datetime.now(UTC)))
    if span is not None:
        span.end()


def consumer(database: Database, heard: list[str | None]) -> Consumer:
    async def hear(tx: Connection, _: object) -> None:
        await tx.execute("SELECT 'heard'")
        heard.append(tracing.trace_id())

    handlers = [on(kind, hear) for kind in (AccountRegistered, ProfileChanged, AccountErased)]
    return Consumer(name=NAME, source="iam", handlers=handlers, database=database, pace=Pace(poll=0.05))


async def test_one_trace_from_the_operation_over_relay_and_bus_to_the_handlers_statements(
    iam: Database, iam_url: str, learning: Database, bus: PgmqBroker, collector: Collector
) -> None:
    await bus.declare(SUBSCRIPTIONS)
    heard: list[str | None] = []
    async with relay.relaying({"iam": iam_url}, bus, after=at_once), consuming(bus, [consumer(learning, heard)]):
        await erase(iam, "a", traceparent=SAMPLED)
        await until(lambda: asyncio.sleep(0, bool(heard)))
        await collector.until(lambda: any("handle" in span.name for span in collector.spans))

    def named(start: str) -> Seen:
        return next(span for span in collector.spans if span.name.startswith(start))

    request, publishing, handling = named("DELETE /api"), named("publish"), named("handle")
    heard_of = next(span for span in collector.spans if span.attributes.get("db.query.text") == "SELECT 'heard'")
    assert heard == [TRACE]
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert (publishing.kind, publishing.parent_id) == ("producer", request.span_id)
    assert (handling.kind, handling.parent_id) == ("consumer", publishing.span_id)
    assert heard_of.parent_id == handling.span_id
    assert [one.name for one in collector.spans if one.parent_id == publishing.span_id and one.kind == "client"]


async def test_events_of_a_batch_keep_each_its_own_trace(
    iam: Database, iam_url: str, learning: Database, collector: Collector
) -> None:
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    other = SAMPLED.replace(TRACE, "f" * 32)
    for key, traceparent in (("a", SAMPLED), ("b", ""), ("c", other)):
        await erase(iam, key, traceparent=traceparent)
    heard: list[str | None] = []
    async with relay.relaying({"iam": iam_url}, broker, after=at_once), consuming(broker, [consumer(learning, heard)]):
        await until(lambda: asyncio.sleep(0, len(heard) == 3))
        await collector.until(lambda: sum("handle" in span.name for span in collector.spans) == 2)
    assert sorted(map(str, heard)) == sorted([TRACE, "None", "f" * 32])
    assert {span.trace_id for span in collector.spans if "handle" in span.name} == {TRACE, "f" * 32}


async def test_an_event_of_a_request_that_was_not_traced_has_none(iam: Database, collector: Collector) -> None:
    await erase(iam, "a")
    await erase(iam, "b", traceparent=SAMPLED)
    rows = {row["key"]: row["traceparent"] for row in await iam.fetch("SELECT key, traceparent FROM event")}
    assert rows["a"] is None
    assert rows["b"][3:35] == TRACE


async def test_an_outbox_that_was_not_brought_to_this_version_yet_is_relayed_all_the_same(
    iam: Database, iam_url: str
) -> None:
    async with iam.connection() as connection:
        await connection.execute("ALTER TABLE event DROP COLUMN traceparent")
        await connection.execute(
            "WITH old AS (INSERT INTO event (id, type, key, data, at)"
            " VALUES (gen_random_uuid(), 'banyan.iam.account-erased.v1', 'a', '{}', now()) RETURNING id)"
            " INSERT INTO outbox (event_id) SELECT id FROM old"
        )
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    session = relay.Session(iam_url, broker, source="iam")
    await session.open()
    await session.become_the_only_one()
    assert await session.move() == 1
    async with iam.connection() as connection:
        await connection.execute("ALTER TABLE event ADD COLUMN traceparent text")
    with recording("a-process"):
        await erase(iam, "b", traceparent=SAMPLED)
        await session.look()  # as it does every other second
        assert await session.move() == 1
        session.end()
    first, second = await broker.read(QUEUE, seats=2, hold=1)
    assert (TRACE.encode() in first.body, TRACE.encode() in second.body) == (False, True)


async def test_what_is_told_again_has_not_waited_since_it_happened(
    iam: Database, iam_url: str, bus: PgmqBroker
) -> None:
    await bus.declare(SUBSCRIPTIONS)
    async with iam.connection() as connection:
        await connection.execute(
            "WITH old AS (INSERT INTO event (id, type, key, data, at)"
            " VALUES (gen_random_uuid(), 'banyan.iam.account-erased.v1', 'a', '{}', now() - interval '3 days')"
            " RETURNING id) INSERT INTO outbox (event_id) SELECT id FROM old"
        )
    session = relay.Session(iam_url, bus, source="an-owner")
    await session.open()
    await session.become_the_only_one()
    await session.look()
    session.end()
    assert LEDGER.outboxes["an-owner"].waiting == 1
    assert LEDGER.outboxes["an-owner"].oldest_seconds < 60


async def test_the_relay_knows_how_much_waits_and_how_much_it_has_published(
    iam: Database, iam_url: str, bus: PgmqBroker
) -> None:
    await bus.declare(SUBSCRIPTIONS)
    published = LEDGER.published.get("an-owner", 0)
    for key in "abc":
        await erase(iam, key)
    session = relay.Session(iam_url, bus, source="an-owner")
    await session.open()
    await session.become_the_only_one()
    waiting = LEDGER.outboxes["an-owner"]
    await session.move()
    await session.look()
    session.end()
    assert (waiting.waiting, waiting.oldest_seconds > 0) == (3, True)
    assert LEDGER.outboxes["an-owner"].waiting == 0
    assert LEDGER.published["an-owner"] - published == 3
    async with measuring.measuring(bus, SUBSCRIPTIONS):
        await until(lambda: asyncio.sleep(0, NAME in LEDGER.queues and LEDGER.queues[NAME].waiting == 3))


async def test_what_is_handled_and_what_fails_is_counted(iam: Database, iam_url: str, learning: Database) -> None:
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    before = LEDGER.consumer(NAME).tally()
    tries: list[str] = []

    async def hear(_: Connection, event: AccountErased) -> None:
        tries.append(event.account_id)
        if event.account_id == "b" and tries.count("b") < 4:
            raise ValueError("not yet")

    async def nothing(_: Connection, __: object) -> None:
        return None

    handlers = [on(AccountErased, hear), on(AccountRegistered, nothing), on(ProfileChanged, nothing)]
    pace = Pace(poll=0.05, first_retry=0.05, longest_retry=0.1)
    hearing = Consumer(name=NAME, source="iam", handlers=handlers, database=learning, pace=pace)
    for key in "ab":
        await erase(iam, key)
    async with relay.relaying({"iam": iam_url}, broker, after=at_once), consuming(broker, [hearing]):
        await until(lambda: asyncio.sleep(0, tries.count("b") >= 4))
        await until(lambda: asyncio.sleep(0, LEDGER.consumer(NAME).tally().total - before.total >= 4))
    after = LEDGER.consumer(NAME).tally()
    failed = after.failed - before.failed
    assert failed >= 2, "the first time it failed together with others, which is no failure of its own"
    assert after.total - before.total == failed + 2


async def test_log_lines_of_a_handler_name_request_and_trace(iam: Database, iam_url: str, learning: Database) -> None:
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    seen: list[tuple[str, str | None]] = []

    async def hear(_: Connection, __: object) -> None:
        seen.append((structlog.contextvars.get_contextvars()["request_id"], tracing.trace_id()))

    handlers = [on(kind, hear) for kind in (AccountRegistered, ProfileChanged, AccountErased)]
    hearing = Consumer(name=NAME, source="iam", handlers=handlers, database=learning, pace=Pace(poll=0.05))
    with recording("a-process"), structlog.contextvars.bound_contextvars(request_id="request-7"):
        await erase(iam, "a", traceparent=SAMPLED)
        async with relay.relaying({"iam": iam_url}, broker, after=at_once), consuming(broker, [hearing]):
            await until(lambda: asyncio.sleep(0, bool(seen)))
    assert seen == [("request-7", TRACE)]
