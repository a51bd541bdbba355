"""The console before a context's own face, with a consumer that really fails: who may have it tried again, and what
becomes of what waited."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import pytest

from banyan.contracts.events import StudentEnrolled
from banyan.infra import http
from banyan.infra.postgres import Connection, Database
from banyan.infra.settings import Settings
from banyan.kit import ids
from banyan.messaging import Consumer, envelope, face, on
from banyan.messaging.consumers import Hearing, Pace
from banyan.messaging.face import dead, now
from banyan.messaging.memory import MemoryBroker
from banyan.messaging.subscriptions import SUBSCRIPTIONS
from tests.gateway.envoy.people import Iam
from tests.messaging.waiting import event_tables, until

EVENTS = "/_banyan/console/events"
OURS = {"origin": "http://127.0.0.1:8000"}
NAME = "live-from-learning"


@dataclass
class Live:
    """The context `live` with nothing but its events. It cannot handle those of `bad` courses."""

    broker: MemoryBroker
    bad: set[str] = field(default_factory=set)
    handled: list[tuple[str, str]] = field(default_factory=list)

    async def count(self, _: Connection, event: StudentEnrolled) -> None:
        if event.course_id in self.bad:
            raise ValueError(f"there is no course {event.course_id}")
        self.handled.append((event.course_id, event.enrolment_id))

    async def enrol(self, course: str, *enrolments: str) -> None:
        for enrolment in enrolments:
            at = datetime.now(UTC)
            event = StudentEnrolled(
                enrolment_id=enrolment, course_id=course, slug=course, account_id="a", learners=1, at=at
            )
            told = envelope.of_row(
                event_id=ids.uuid7(),
                kind=event.TYPE,
                key=event.key(),
                data=envelope.data_of(event).decode(),
                at=at,
                request_id="r-1",
            )
            await self.broker.publish([told])


@pytest.fixture
async def live(settings: Settings, learning_database: Database) -> AsyncIterator[Live]:
    async with learning_database.connection() as connection:
        await connection.execute(event_tables())
    broker = MemoryBroker()
    await broker.declare(SUBSCRIPTIONS)
    running = Live(broker)
    pace = Pace(hold=1.0, first_retry=0.01, longest_retry=0.02, poll=0.02, attempts=2)
    handlers = [on(StudentEnrolled, running.count)]
    hearing = Hearing(
        broker, [Consumer(name=NAME, source="learning", handlers=handlers, database=learning_database, pace=pace)]
    )
    told = face.router(
        now.router("live", hearing, learning_database, broker="memory", tells=False),
        dead.router(hearing, learning_database),
    )
    stop = asyncio.Event()
    app = http.application("live", [told], settings=settings)
    serving = asyncio.create_task(http.serve(app, http.listening_socket(settings.socket("live")), stop=stop))
    async with hearing.running():
        yield running
        stop.set()
        await serving


async def test_an_operator_has_letters_tried_again_in_their_order_and_a_learner_does_not(
    browser: httpx.AsyncClient, live: Live, iam: Iam, learning_database: Database
) -> None:
    async def letters() -> int:
        return int(await learning_database.fetchval("SELECT count(*) FROM dead_letter"))

    async def all_are_dead() -> bool:
        return await letters() == 5

    async def none_is_dead() -> bool:
        return await letters() == 0

    live.bad = {"c1", "c2"}
    await live.enrol("c1", "e1", "e2", "e3")
    await live.enrol("c2", "f1", "f2")
    await live.enrol("c3", "g1")
    await until(all_are_dead)
    page = (await browser.get(f"{EVENTS}/dead")).text
    live.bad = set()
    form = {"consumer": NAME}
    browser.cookies.set("banyan_session", iam.token(roles="learner"))
    by_a_learner = await browser.post(f"{EVENTS}/live/dead/redrive", data=form, headers=OURS)
    browser.cookies.clear()
    browser.cookies.set("banyan_session", iam.token(roles="operator"))
    by_another_site = await browser.post(f"{EVENTS}/live/dead/redrive", data=form, headers={"origin": "http://x.test"})
    left = await letters()

    by_an_operator = await browser.post(f"{EVENTS}/live/dead/redrive", data=form, headers=OURS)
    await until(none_is_dead)

    assert page.count('class="stuck"') == 2
    assert "2 events wait behind" in page
    assert "ValueError: there is no course c1" in page
    assert (by_a_learner.status_code, by_another_site.status_code, by_an_operator.status_code) == (403, 403, 303)
    assert left == 5
    assert Counter(live.handled).total() == 6
    assert [enrolment for course, enrolment in live.handled if course == "c1"] == ["e1", "e2", "e3"]
    assert [enrolment for course, enrolment in live.handled if course == "c2"] == ["f1", "f2"]
    await asyncio.sleep(1)
    assert "No event is dead." in (await browser.get(f"{EVENTS}/dead")).text


async def test_what_is_discarded_is_not_handled_and_what_waited_goes_on(
    browser: httpx.AsyncClient, live: Live, learning_database: Database
) -> None:
    async def parked() -> bool:
        return bool(await learning_database.fetchval("SELECT count(*) = 2 FROM dead_letter"))

    async def goes_on() -> bool:
        return len(live.handled) == 1

    live.bad = {"c1"}
    await live.enrol("c1", "e1", "e2")
    await until(parked)
    live.bad = set()
    letter = await learning_database.fetchval("SELECT min(id) FROM dead_letter")

    answer = await browser.post(f"{EVENTS}/live/dead/{letter}/discard", data={"sure": "yes"}, headers=OURS)
    await until(goes_on)

    assert answer.status_code == 303
    assert live.handled == [("c1", "e2")]
    again = await browser.get(f"{EVENTS}/live/dead/{letter}")
    assert again.status_code == 404
    assert "This dead letter is not here any more" in again.text


async def test_a_paused_consumer_takes_nothing_until_it_is_resumed(browser: httpx.AsyncClient, live: Live) -> None:
    async def all_is_handled() -> bool:
        return len(live.handled) == 2

    for wanted, seen in (("pause", "paused"), ("resume", "runs")):
        await browser.post(f"{EVENTS}/live/consumers/{NAME}", data={"wanted": wanted}, headers=OURS)

        async def is_said(seen: str = seen) -> bool:
            await asyncio.sleep(0.3)
            return seen in (await browser.get(EVENTS)).text.partition(f'id="consumer-{NAME}"')[2].partition("</tr>")[0]

        await until(is_said)
        if wanted == "pause":
            await live.enrol("c1", "e1", "e2")
            await asyncio.sleep(0.5)
            assert live.handled == []
    await until(all_is_handled)
