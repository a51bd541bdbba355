"""What is published on the bus arrives on open pages, once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from banyan.contracts.events import StudentEnrolled
from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database
from banyan.kit import ids
from banyan.messaging import PgmqBroker, envelope
from banyan.messaging.envelope import Envelope
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.conftest import Postgres

from .conftest import Start
from .living import Watcher, path


@pytest.fixture
async def bus_url(postgres: Postgres) -> str:
    url = postgres.url(await postgres.make_database())
    database = Database(url, size=1)
    await migrate(database, "bus")
    await database.close()
    return url


@pytest.fixture
async def bus(bus_url: str) -> AsyncIterator[PgmqBroker]:
    broker = PgmqBroker(bus_url, size=1)
    await broker.declare(SUBSCRIPTIONS)
    yield broker
    await broker.close()


def enrolled(course_id: str, *, learners: int) -> Envelope:
    now = datetime.now(UTC)
    event = StudentEnrolled(
        enrolment_id=str(ids.uuid7()),
        course_id=course_id,
        slug="spring",
        account_id=str(ids.uuid7()),
        learners=learners,
        at=now,
    )
    data = msgspec.json.decode(envelope.data_of(event))
    return Envelope(id=str(ids.uuid7()), source="learning", type=event.TYPE, subject=event.key(), time=now, data=data)


async def test_an_enrolment_on_the_bus_reaches_open_pages_once_however_often_it_is_delivered(
    bus: PgmqBroker, bus_url: str, start: Start
) -> None:
    process = await start(bus_database_url=bus_url)
    course_id = str(ids.uuid7())
    first, second = enrolled(course_id, learners=1), enrolled(course_id, learners=2)

    async with Watcher(process, path("spring")) as watcher:
        await bus.publish([first])
        await watcher.read_until(1)
        await bus.publish([first, second, second])
        await watcher.read_until(2)
        await watcher.read_for(0.3)

    assert [(event.position, event.count) for event in watcher.heard] == [(1, 1), (2, 2)]
    assert await bus.read("live_from_learning", seats=10, hold=1) == []
