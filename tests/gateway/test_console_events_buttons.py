"""What an operator does about events in the console: pause, try again, discard, cancel. By operators only, by pages of
our own site only, and written down."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from banyan.infra.settings import Settings
from tests.gateway import contexts
from tests.gateway.contexts import Context, event_id
from tests.gateway.envoy.people import SUZY, Iam

EVENTS = "/_banyan/console/events"
OURS = {"origin": "http://127.0.0.1:8000"}
WRITES: dict[str, tuple[dict[str, str], str]] = {
    "/live/consumers/live-from-learning": ({"wanted": "pause"}, "POST /consumers/live-from-learning/pause"),
    "/learning/dead/redrive": ({"letter": "3"}, "POST /dead/redrive"),
    "/learning/dead/3/discard": ({"sure": "yes"}, "POST /dead/discard"),
    "/learning/replays/r1/cancel": ({}, "DELETE /replays/r1"),
    "/live/rebuilds/b1/cancel": ({}, "DELETE /rebuilds/b1"),
}

pytestmark = pytest.mark.usefixtures("monitor")


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[dict[str, Context]]:
    found = contexts.troubled()
    async with contexts.answering(settings, *found):
        yield {context.name: context for context in found}


def told(system: dict[str, Context]) -> list[str]:
    return [write for context in system.values() for write, _ in context.told]


async def test_an_operators_button_does_what_it_says_leads_back_and_is_written_down(
    browser: httpx.AsyncClient, system: dict[str, Context]
) -> None:
    for path, (form, write) in WRITES.items():
        before = told(system)
        with capture_logs() as lines:
            answer = await browser.post(EVENTS + path, data=form, headers=OURS)

        assert answer.status_code == 303, path
        assert re.fullmatch(rf"{EVENTS}(/dead|#\S+)", answer.headers["location"])
        assert sorted(told(system)) == sorted([*before, write])
        assert [line["by"] for line in lines if "by" in line] == [SUZY]


async def test_nobody_else_does_it_nor_another_sites_page(
    browser: httpx.AsyncClient, system: dict[str, Context], iam: Iam
) -> None:
    for path, (form, _) in WRITES.items():
        browser.cookies.set("banyan_session", iam.token(roles="operator"))
        answers = [
            await browser.post(EVENTS + path, data=form, headers={"origin": "http://evil.example"}),
            await browser.post(EVENTS + path, data=form),
        ]
        for roles in ("learner", "instructor", "admin"):
            browser.cookies.clear()
            browser.cookies.set("banyan_session", iam.token(roles=roles))
            answers.append(await browser.post(EVENTS + path, data=form, headers=OURS))
        browser.cookies.clear()
        answers.append(await browser.post(EVENTS + path, data=form, headers=OURS))

        assert [answer.status_code for answer in answers] == [403, 403, 403, 403, 403, 401], path
    assert told(system) == []


async def test_one_is_tried_again_or_all_of_a_consumer_and_never_both(
    browser: httpx.AsyncClient, system: dict[str, Context]
) -> None:
    one = await browser.post(f"{EVENTS}/learning/dead/redrive", data={"letter": "3"}, headers=OURS)
    all_of = {"consumer": "learning-from-iam"}
    every = await browser.post(f"{EVENTS}/learning/dead/redrive", data=all_of, headers=OURS)
    wrong = [
        await browser.post(f"{EVENTS}/learning/dead/redrive", data=data, headers=OURS)
        for data in ({}, {"letter": "3", **all_of}, {"letter": "x"}, {"letter": "9" * 40})
    ]

    assert (one.status_code, every.status_code) == (303, 303)
    assert [answer.status_code for answer in wrong] == [422, 422, 404, 404]
    choices = [body for _, body in system["learning"].told]
    assert choices == [
        {"id": 3, "consumer": None, "all": False},
        {"id": None, "consumer": "learning-from-iam", "all": False},
    ]


async def test_a_discard_says_first_what_is_lost(browser: httpx.AsyncClient, system: dict[str, Context]) -> None:
    asked = await browser.post(f"{EVENTS}/learning/dead/3/discard", headers=OURS)

    assert asked.status_code == 200
    assert "what it would have changed stays undone" in asked.text
    assert '<input type="hidden" name="sure" value="yes">' in asked.text
    assert told(system) == []


async def test_what_a_process_refuses_or_does_not_answer_is_said_on_the_page(
    browser: httpx.AsyncClient, settings: Settings
) -> None:
    iam, learning, _ = contexts.troubled()
    async with contexts.answering(settings, iam, learning):
        refused = await browser.post(f"{EVENTS}/learning/replays/none/of/cancel", headers=OURS)
        unknown = await browser.post(f"{EVENTS}/learning/consumers/x", data={"wanted": "up"}, headers=OURS)
        away = await browser.post(f"{EVENTS}/live/consumers/live-from-learning", data={"wanted": "pause"}, headers=OURS)
        nobody = await browser.post(f"{EVENTS}/nobody/dead/redrive", data={"letter": "3"}, headers=OURS)

    assert (refused.status_code, unknown.status_code, nobody.status_code) == (404, 422, 404)
    assert away.status_code == 503
    assert "It may have been done all the same; look before you try again." in away.text
    assert 'id="consumers"' in away.text


@pytest.mark.usefixtures("system")
async def test_a_change_is_on_the_page_that_follows_it(browser: httpx.AsyncClient, system: dict[str, Context]) -> None:
    await browser.get(EVENTS)
    asked = system["live"].asked["/now"]
    await browser.post(f"{EVENTS}/live/consumers/live-from-learning", data={"wanted": "resume"}, headers=OURS)

    await browser.get(EVENTS)

    assert system["live"].asked["/now"] == asked + 1


@pytest.mark.usefixtures("system")
async def test_personal_data_are_shown_to_no_operator_who_is_no_admin(
    browser: httpx.AsyncClient, system: dict[str, Context]
) -> None:
    address = f"{EVENTS}/iam/stored/{event_id(9)}/unmasked"
    answers = [
        await browser.post(address, data={"reason": "a look"}, headers=headers)
        for headers in (OURS, {"origin": "http://evil.example"})
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert told(system) == []
