"""The console's pages about events: who is how far, dead letters, and what has happened; with a part of the system
away, and with all that was written by strangers."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from banyan.contracts.messaging import WorkState
from banyan.contracts.monitor import Alert
from banyan.infra.settings import Settings
from tests.gateway import contexts, monitors
from tests.gateway.conftest import children, supervise
from tests.gateway.contexts import PERSON, TRACE, Context, event_id
from tests.gateway.envoy.people import SUZY, Iam
from tests.gateway.monitors import EVERYBODY, Monitor

EVENTS = "/_banyan/console/events"
OURS = {"origin": "http://127.0.0.1:8000"}
PAGES = ("", "/dead", "/search", "/learning/dead/3", f"/iam/stored/{event_id(9)}")
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}\x00\u202e'

pytestmark = pytest.mark.usefixtures("monitor")


@pytest.fixture
async def system(settings: Settings, monitor: Monitor) -> AsyncIterator[dict[str, Context]]:
    supervise(settings, children(**{name.replace("-", "_"): "ready" for name in EVERYBODY}))
    monitor.__dict__.update(monitors.busy().__dict__)
    found = contexts.troubled()
    async with contexts.answering(settings, *found):
        yield {context.name: context for context in found}


@pytest.mark.usefixtures("system")
async def test_each_consumer_says_how_far_it_is_and_what_holds_it_up(browser: httpx.AsyncClient) -> None:
    page = (await browser.get(EVENTS)).text

    learning, live = row(page, "consumer-learning-from-iam"), row(page, "consumer-live-from-learning")
    assert "418" in learning
    assert "profile-changed.v1" in learning
    assert f'href="{EVENTS}/dead?consumer=learning-from-iam">2<' in learning
    assert 'value="pause"' in learning
    assert "paused" in live
    assert "the command line" in live
    assert 'value="resume"' in live
    for said in ("45,000 of 90,000 events", "50 %", "812 events", ">12<", "2026-11-22 – 2026-11-24"):
        assert said in page, said
    assert re.search(r"[12] min left|90 sec left", page)


@pytest.mark.usefixtures("system")
async def test_dead_letters_stand_by_their_consumer_and_key_with_what_waits_behind(browser: httpx.AsyncClient) -> None:
    page = (await browser.get(f"{EVENTS}/dead")).text

    assert page.count('class="stuck"') == 2
    stuck = page[page.index('class="stuck"') :]
    assert f"{PERSON}</a>" in stuck
    assert "2 events wait behind" in stuck
    assert "UniqueViolationError" in stuck
    assert "not known yet" in stuck
    assert page.count('class="letter"') == 2  # what is parked is counted, not told one by one
    assert 'id="redrive-all-learning-from-iam"' in page
    assert "2 keys wait" in page


@pytest.mark.usefixtures("system")
async def test_a_dead_letter_shows_all_that_is_known_of_it(browser: httpx.AsyncClient) -> None:
    page = (await browser.get(f"{EVENTS}/learning/dead/3")).text

    assert "in on_profile_changed" in page
    assert page.count('class="chip masked"') == 2
    assert 'href="/_banyan/console/logs?request_id=7d1f8a52-aa"' in page
    assert f'href="/_banyan/console/traces/{TRACE}"' in page
    assert "10 times" in page
    assert (await browser.get(f"{EVENTS}/learning/dead/77")).status_code == 404
    assert (await browser.get(f"{EVENTS}/learning/dead/{'9' * 30}")).status_code == 404
    assert (await browser.get(f"{EVENTS}/nobody/dead/3")).status_code == 404


async def test_the_overview_and_the_alerts_lead_to_dead_letters(
    browser: httpx.AsyncClient, system: dict[str, Context], monitor: Monitor
) -> None:
    link = f'<a href="{EVENTS}/dead">'
    for path in ("", "/alerts"):
        page = (await browser.get(f"/_banyan/console{path}")).text
        assert "2 events could not be handled." in page
        assert link in page
        assert "Nothing is wrong." not in page

    since = datetime.now(UTC)
    told = Alert("queue.dead > 0 for 0s", "learning-from-iam", "firing", 2.0, since, since)
    monitor.now = replace(monitor.now, alerts=[told])
    await asyncio.sleep(1)
    page = (await browser.get("/_banyan/console")).text
    assert "2 events could not be handled." not in page  # the alert says so already
    assert f'<a href="{EVENTS}/dead?consumer=learning-from-iam">' in page

    monitor.now = replace(monitor.now, alerts=[])
    await asyncio.sleep(1)
    calm = {context.name: context for context in contexts.calm()}
    for name, context in system.items():
        context.now = calm[name].now

    assert link not in (await browser.get("/_banyan/console")).text


async def test_events_of_all_stores_are_found_newest_first_and_paged(
    browser: httpx.AsyncClient, system: dict[str, Context]
) -> None:
    system["learning"].events = [contexts.stored(n, "learning", "course-viewed.v1") for n in range(140, 20, -1)]
    system["iam"].events = [contexts.stored(n, "iam", "session-revoked.v1") for n in (90, 15)]
    seen: list[str] = []
    address = f"{EVENTS}/search?key={PERSON}"
    for _ in range(3):
        page = (await browser.get(address)).text
        seen += re.findall(r'/stored/([0-9a-f-]+)"', page)
        onward = re.search(r'href="([^"]+)">Older<', page)
        address = onward[1].replace("&amp;", "&") if onward else ""

    assert seen == [event_id(n) for n in (*range(140, 90, -1), 90, *range(90, 20, -1), 15)]
    assert address == ""


@pytest.mark.usefixtures("system")
async def test_a_search_asks_for_just_that_and_only_who_can_know(
    browser: httpx.AsyncClient, system: dict[str, Context]
) -> None:
    asked = "type=banyan.learning.student-enrolled&key=k1&since=2026-11-24T12:00&until=2026-11-24T13:30"
    page = (await browser.get(f"{EVENTS}/search?{asked}")).text

    assert {
        "type": "banyan.learning.student-enrolled",
        "key": "k1",
        "since": "2026-11-24T12:00:00+09:00",
        "until": "2026-11-24T13:30:00+09:00",
        "limit": "50",
    } in system["learning"].queries
    assert system["iam"].asked["/events"] == 0
    assert '<option value="banyan.iam.profile-changed.v1">' in page
    wrong = (await browser.get(f"{EVENTS}/search?since=yesterday")).text
    assert "This is no time." in wrong


async def test_personal_data_are_hidden_and_shown_to_who_may_see_them_for_a_reason(
    browser: httpx.AsyncClient, iam: Iam, system: dict[str, Context]
) -> None:
    address = f"{EVENTS}/iam/stored/{event_id(9)}"
    as_operator = await browser.get(address)
    refused = await browser.post(f"{address}/unmasked", data={"reason": "support call 12"}, headers=OURS)
    browser.cookies.clear()
    browser.cookies.set("banyan_session", iam.token(roles="operator,admin"))
    as_admin = await browser.get(address)
    without = await browser.post(f"{address}/unmasked", data={"reason": " "}, headers=OURS)
    shown = await browser.post(f"{address}/unmasked", data={"reason": "support call 12"}, headers=OURS)

    assert as_operator.text.count('class="chip masked"') == 2
    assert "Show personal data" not in as_operator.text
    assert "operator who is an admin as well" in as_operator.text
    assert refused.status_code == 403
    assert "haneul@school.test" not in as_operator.text + refused.text + as_admin.text + without.text
    assert "Show personal data" in as_admin.text
    assert without.status_code == 422
    assert "haneul@school.test" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert [told for told, _ in system["iam"].told] == [f"POST /events/{event_id(9)}/unmasked"]
    assert system["iam"].told[0][1] == {"by": SUZY, "reason": "support call 12"}


@pytest.mark.parametrize("away", ["iam", "learning", "live"])
async def test_a_context_that_is_away_is_unknown_and_the_rest_stands(
    browser: httpx.AsyncClient, settings: Settings, monitor: Monitor, away: str
) -> None:
    monitor.__dict__.update(monitors.busy().__dict__)
    there = [context for context in contexts.troubled() if context.name != away]
    async with contexts.answering(settings, *there):
        for path in ("", "/dead", "/search"):
            page = await browser.get(EVENTS + path)
            assert page.status_code == 200
            assert (f"{away} does not answer." in page.text) == (path != "/search" or away != "live"), path
        page = await browser.get(EVENTS)
        consumers = {"learning": "learning-from-iam", "live": "live-from-learning"}
        for context, name in consumers.items():
            assert ("unknown" in row(page.text, f"consumer-{name}")) == (context == away)


@pytest.mark.usefixtures("system")
async def test_each_process_is_asked_once_a_second_however_many_look(
    browser: httpx.AsyncClient, system: dict[str, Context]
) -> None:
    await asyncio.gather(*(browser.get(EVENTS) for _ in range(12)))

    assert system["learning"].asked["/now"] <= 2
    assert system["learning"].asked["/replays"] <= 2


async def test_what_others_wrote_is_text_and_bounded(browser: httpx.AsyncClient, system: dict[str, Context]) -> None:
    long = HOSTILE * 3000
    learning, iam = system["learning"], system["iam"]
    hostile = contexts.letter(3, key=HOSTILE, type=HOSTILE, error=long, event_id=HOSTILE)
    learning.dead = [contexts.whole(hostile, body=long, traceback=long)] + [
        contexts.whole(contexts.letter(n, key=f"{n}{HOSTILE}", type=long, error=long)) for n in range(104, 160)
    ]
    learning.events = [
        replace(contexts.stored(n, "learning", long, x=long), key=HOSTILE, request_id=long) for n in (8, 7)
    ]
    iam.events = [replace(contexts.stored(9, "iam", long, **{HOSTILE: [{HOSTILE: long}] * 9}), key=long)]
    learning.now = replace(
        learning.now, consumers=[replace(learning.now.consumers[0], handles=[long] * 50, paused_by=HOSTILE)]
    )
    learning.replays = [replace(learning.replays[0], detail=long, state=WorkState.RUNNING)]

    for path in (*PAGES, f"/search?key={HOSTILE[:60]}&type=%22%3E", "/dead?consumer=%22%3E%3Cscript%3Ealert(1)"):
        page = await browser.get(EVENTS + path)

        assert page.status_code == 200, path
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert not re.search(r"<[^>]*\sonerror=", re.sub(r'"[^"]*"', "", page.text))  # in a value it is a value
        assert ">49" not in page.text
        assert "\u202e" not in re.sub(r'"[^"]*"', "", page.text)
        assert len(page.text) < 400_000, path


def row(page: str, name: str) -> str:
    """The table row of this id."""
    found = re.search(rf'<tr id="{name}".*?</tr>', page, re.DOTALL)
    assert found is not None, name
    return found[0]
