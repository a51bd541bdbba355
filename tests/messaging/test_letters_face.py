"""What operators are told of consumers and dead letters, and do about them: on a process's own socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from banyan.clients.messaging import MessagingClient
from banyan.contracts.messaging import MASK, DeadChoice
from banyan.infra import http
from banyan.infra.http_client import ServiceRefused
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging import envelope, face, stock
from banyan.messaging.consumers import Hearing
from banyan.messaging.face import dead, now
from banyan.messaging.letters import choosing, looking, pauses, redrives, writing
from tests.messaging import failing
from tests.messaging.failing import NAME, OddBroker, told

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")


@pytest.fixture
async def broker() -> OddBroker:
    return await failing.broker()


@pytest.fixture
async def ask(learning: Database, broker: OddBroker, tmp_path: Path) -> AsyncIterator[MessagingClient]:
    """A process that consumes, in which number 1 is what cannot be handled."""
    await failing.make_seen(learning)
    settings = Settings.read({"BANYAN_DATA": str(tmp_path)})
    hearing = Hearing(broker, [failing.consumer(learning, failing.failing(1))])
    router = face.router(
        now.router("live", hearing, learning, broker="memory", tells=True), dead.router(hearing, learning)
    )
    app = http.application("live", [router], settings=settings)
    stop = asyncio.Event()
    serving = asyncio.create_task(http.serve(app, http.inherited_or_own_socket(settings, "live"), stop=stop))
    client = MessagingClient(settings, "live")
    async with hearing.running():
        yield client
    await client.close()
    stop.set()
    await serving


async def test_an_operator_sees_what_is_dead_and_why_and_lets_it_go_on(
    ask: MessagingClient, broker: OddBroker, learning: Database
) -> None:
    await broker.publish([told("a", 1), told("a", 2), told("b", 3)])
    await failing.until_letters(learning, 2)
    page = await ask.dead()
    first, second = page.items
    assert (first.consumer, first.key, first.state, first.attempts, first.behind) == (NAME, "a", "failed", 3, 1)
    assert (second.state, second.behind, page.total, page.next) == ("parked", 0, 2, None)
    whole = await ask.dead_letter(first.id)
    assert whole.traceback.endswith(first.error)
    assert '"course_id": "a"' in whole.body
    shown = await ask.dead(limit=1)
    assert [one.id for one in (await ask.dead(after=shown.next)).items] == [second.id]

    assert (await ask.redrive(DeadChoice(id=first.id))).letters == 2

    async def tried() -> bool:
        return (await ask.dead()).items[0].attempts == 4

    await failing.until(tried)
    assert (await ask.discard(DeadChoice(id=first.id))).letters == 1
    await failing.until_seen(learning, 2)

    assert sorted(await failing.seen(learning)) == [2, 3]
    assert (await ask.dead()).items == []


async def test_what_is_now_is_told_with_what_is_dead_and_who_has_paused(
    ask: MessagingClient, broker: OddBroker, learning: Database
) -> None:
    await broker.publish([told("a", 1), told("a", 2)])
    await failing.until_letters(learning, 2)
    await ask.pause(NAME, by="op@banyan.test")

    async def paused() -> bool:
        (consumer,) = (await ask.now()).consumers
        return consumer.paused_at is not None and consumer.dead == consumer.parked == 1

    await failing.until(paused)
    await broker.publish([told("b", 7)])
    told_now = await ask.now()
    (consumer,) = told_now.consumers
    assert (consumer.name, consumer.source, consumer.broker) == (NAME, "learning", "memory")
    assert consumer.paused_by == "op@banyan.test"
    assert (consumer.waiting, consumer.in_flight, consumer.dead, consumer.parked) == (1, 0, 1, 1)
    assert consumer.handles == ["banyan.learning.student-enrolled.v1"]
    assert told_now.outbox is not None
    assert len(told_now.days) >= 8
    await ask.resume(NAME, by="op@banyan.test")
    await failing.until_seen(learning, 1)
    assert (await ask.now()).consumers[0].paused_at is None


async def test_a_broker_that_is_away_is_not_known_and_the_rest_is_told(
    ask: MessagingClient, broker: OddBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: str) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(broker, "depth", away)
    (consumer,) = (await ask.now()).consumers
    assert (consumer.waiting, consumer.oldest_seconds) == (None, None)


async def test_what_is_not_there_is_said_with_what_is(ask: MessagingClient) -> None:
    said = "There is no dead letter 12 here; `banyan event dead ls` lists them."
    for asked in (ask.dead_letter(12), ask.redrive(DeadChoice(id=12)), ask.discard(DeadChoice(id=12))):
        with pytest.raises(ServiceRefused, match=said) as refused:
            await asked
        assert (refused.value.status, refused.value.slug) == (404, "dead-letter-unknown")
    for number in (0, -1, 1 << 63, 1 << 70):
        for asked in (ask.dead_letter(number), ask.redrive(DeadChoice(id=number)), ask.discard(DeadChoice(id=number))):
            with pytest.raises(ServiceRefused, match=f"There is no dead letter {number} here"):
                await asked
    for asking in (ask.dead(consumer="nobody"), ask.redrive(DeadChoice(consumer="nobody")), ask.pause("nobody", by="")):
        with pytest.raises(ServiceRefused, match=f"There is no consumer 'nobody' here. There are: {NAME}"):
            await asking
    for empty in (ask.redrive(DeadChoice()), ask.discard(DeadChoice())):
        with pytest.raises(ServiceRefused, match="Say which") as refused:
            await empty
        assert refused.value.status == 422
    with pytest.raises(ServiceRefused, match="not a cursor"):
        await ask.dead(after="abc")
    assert (await ask.redrive(DeadChoice(all=True))).letters == 0


@pytest.mark.parametrize(
    "pii", [{"person": "p", "sealed": "c2VjcmV0"}, {"name": "secret", "email": "secret"}, "secret"]
)
def test_a_body_is_shown_without_personal_data_sealed_or_not(pii: object) -> None:
    sent = envelope.encode(told("k", 1)).replace(b'"slug":"s"', b'"pii":' + msgspec.json.encode(pii))
    shown = looking.shown(sent)
    assert MASK in shown
    assert "secret" not in shown
    assert "c2VjcmV0" not in shown
    assert '"course_id": "k"' in shown


def test_what_is_no_event_is_shown_as_text_and_shortened() -> None:
    assert looking.shown(b"\xff hello").endswith(" hello")
    assert len(looking.shown(b"x" * 100_000)) < 21_000


async def test_every_statement_fits_the_tables(learning: Database) -> None:
    async with learning.connection() as connection:
        for module in (choosing, looking, pauses, redrives, stock, writing):
            for name, text in vars(module).items():
                if name[0].isupper() and isinstance(text, str) and text.split()[0] in VERBS:
                    await connection.prepare(text)
