"""The console's pages beside the overview: processes, logs, traces, events, alerts; and what each says when somebody
is away."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from xml.etree import ElementTree

import httpx
import pytest

from banyan.contracts.monitor import Alert, AlertPage, LogLine, LogPage, TraceHead, TraceList
from banyan.infra.settings import Settings
from banyan.infra.supervisor.control import Control, Wish
from banyan.kit.errors import NotFound
from tests.gateway import monitors
from tests.gateway.conftest import children, supervise
from tests.gateway.monitors import EVERYBODY, TRACE, Monitor

CONSOLE = "/_banyan/console"
OURS = {"origin": "http://127.0.0.1:8000"}
PAGES = ("", "/processes", "/logs", "/traces", "/events", "/alerts")
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}\x00\u202e'


@pytest.fixture
def busy(monitor: Monitor, settings: Settings) -> Monitor:
    supervise(settings, children(**{name.replace("-", "_"): "ready" for name in EVERYBODY}))
    monitor.__dict__.update(monitors.busy().__dict__)
    return monitor


@pytest.fixture
async def asked(settings: Settings) -> AsyncIterator[list[str]]:
    """What a supervisor on its socket was asked to restart."""
    names: list[str] = []

    async def restart(wish: Wish) -> Wish:
        if wish["name"] == "nobody":
            raise NotFound("There is no process 'nobody' here.")
        names.append(wish["name"])
        await asyncio.sleep(0.1)
        return {"ready": True}

    answering = asyncio.create_task(Control(settings, {"restart": restart}).listen())
    while not settings.socket("supervisor").exists():
        await asyncio.sleep(0.01)
    yield names
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)


@pytest.mark.usefixtures("busy")
async def test_each_page_is_well_formed_and_says_its_part(browser: httpx.AsyncClient) -> None:
    says = {
        "": ("System map", "postgres-core", "132/s"),
        "/processes": ("learning 1 / 10", "of 512 MB", 'action="/_banyan/console/processes/web/restart"'),
        "/logs": ("request failed", "Where it happened", "DatabaseAway: no answer", "Older"),
        "/traces": ("GET /courses/{slug}", "106 ms", "envoy → web → learning"),
        "/events": ("live-from-learning", "Published and handled"),
        "/alerts": ("process.silent &gt; 5s for 0s", "No rule is broken"),
    }
    for path, words in says.items():
        page = await browser.get(CONSOLE + path)
        assert page.status_code == 200, path
        for word in words:
            assert word in page.text, (path, word)
        assert page.text.count('id="kill-switch"') == 1
        ids = re.findall(r'\sid="([^"]+)"', page.text)
        assert len(ids) == len(set(ids)), path
        for drawing in re.findall(r"<svg.*?</svg>", page.text, re.DOTALL):
            ElementTree.fromstring(drawing)


@pytest.mark.usefixtures("busy")
async def test_a_trace_shows_who_caused_what_what_failed_and_what_came_after_the_answer(
    browser: httpx.AsyncClient,
) -> None:
    page = (await browser.get(f"{CONSOLE}/traces/{TRACE}")).text

    (drawing,) = re.findall(r'<svg class="waterfall".*?</svg>', page, re.DOTALL)
    spans = [found.get("class") or "" for found in ElementTree.fromstring(drawing).findall("g")]
    assert len(spans) == 10
    assert [number for number, span in enumerate(spans) if "wrong" in span] == [5]
    assert [number for number, span in enumerate(spans) if "after" in span] == [7, 8, 9]
    assert "INSERT INTO enrolment VALUES ($1, $2)" in page
    assert f"{CONSOLE}/logs?request_id=7d1f8a52-aa" in page
    assert (await browser.get(f"{CONSOLE}/traces/{'0' * 32}")).status_code == 404


async def test_what_others_wrote_is_text_and_bounded(browser: httpx.AsyncClient, busy: Monitor) -> None:
    long = HOSTILE * 2000
    fields = {HOSTILE: long, "exception": long, "trace_id": HOSTILE}
    busy.logs = LogPage([LogLine(HOSTILE, HOSTILE, HOSTILE, long, long, fields)] * 30, next=HOSTILE)
    busy.traces = TraceList([TraceHead(HOSTILE, long, datetime.now(UTC), 1.0, 1, 1, [HOSTILE] * 50, HOSTILE)])
    assert busy.trace is not None
    spans = [
        replace(span, name=long, process=HOSTILE, kind=HOSTILE, attributes={HOSTILE: long, "db.query.text": long})
        for span in busy.trace.spans
    ]
    busy.trace = replace(busy.trace, spans=spans)
    told = Alert(HOSTILE, HOSTILE, "firing", 1.0, datetime.now(UTC), told=[HOSTILE], untold=[long])
    busy.alerts = AlertPage([told], rules=[long], faults=[long])
    busy.now = replace(busy.now, alerts=[told])

    for path in (*PAGES, f"/traces/{TRACE}", f"/logs?q={HOSTILE[:60]}&process={HOSTILE[:60]}", "/traces?process=%22>"):
        page = await browser.get(CONSOLE + path)

        assert page.status_code == 200, path
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        tags = re.sub(r'"[^"]*"', "", page.text)  # in a value it is a value
        assert not re.search(r"<[^>]*\sonerror=", tags)
        assert ">49" not in page.text
        assert len(page.text) < 600_000, path


async def test_a_search_asks_for_just_that_and_goes_on_from_there(browser: httpx.AsyncClient, busy: Monitor) -> None:
    page = (await browser.get(f"{CONSOLE}/logs?q=%EA%B0%95%EC%9D%98+x&process=web&level=error&request_id=r1")).text

    assert {"q": "강의 x", "process": "web", "level": "error", "request_id": "r1", "limit": "100"} in busy.queries
    assert (
        f'href="{CONSOLE}/logs?q=%EA%B0%95%EC%9D%98+x&amp;process=web&amp;request_id=r1&amp;level=error&amp;after=older"'
        in page
    )
    await browser.get(f"{CONSOLE}/logs?level=nonsense&after=older")
    assert {"after": "older", "limit": "100"} in busy.queries


async def test_what_was_known_stays_with_its_time_while_monitor_is_away(
    browser: httpx.AsyncClient, busy: Monitor
) -> None:
    await browser.get(CONSOLE)
    busy.mood = "503"
    await asyncio.sleep(1)

    page = (await browser.get(CONSOLE)).text

    assert "The process monitor does not answer." in page
    assert re.search(r"as they were at [\d:]+ KST", page)
    assert "132/s" in page
    assert "Nothing is wrong." not in page
    assert "banyan" in page


async def test_every_page_stands_when_monitor_was_never_there(browser: httpx.AsyncClient, busy: Monitor) -> None:
    busy.mood = "503"

    for path in PAGES:
        page = await browser.get(CONSOLE + path)
        assert page.status_code == 200
        assert "The process monitor does not answer." in page.text
        assert "not known" in page.text
    overview = (await browser.get(CONSOLE)).text
    assert 'id="box-postgres-core"' in overview  # the supervisor knows who is there


@pytest.mark.usefixtures("busy")
async def test_a_process_is_restarted_and_the_page_goes_on(browser: httpx.AsyncClient, asked: list[str]) -> None:
    answer = await browser.post(f"{CONSOLE}/processes/web/restart", headers=OURS)

    assert (answer.status_code, answer.headers["location"]) == (303, f"{CONSOLE}/processes#process-web")
    assert asked == ["web"]


@pytest.mark.usefixtures("busy")
async def test_what_was_not_restarted_is_said(browser: httpx.AsyncClient, asked: list[str]) -> None:
    unknown = await browser.post(f"{CONSOLE}/processes/nobody/restart", headers=OURS)
    foreign = await browser.post(f"{CONSOLE}/processes/web/restart", headers={"origin": "http://evil.example"})

    assert unknown.status_code == 422
    assert "There is no process &#39;nobody&#39; here." in unknown.text
    assert foreign.status_code == 403
    assert asked == []


async def test_without_a_supervisor_nothing_is_restarted_and_the_page_says_so(browser: httpx.AsyncClient) -> None:
    answer = await browser.post(f"{CONSOLE}/processes/web/restart", headers=OURS)

    assert answer.status_code == 503
    assert "No supervisor runs on this machine, so nothing was restarted." in answer.text


async def test_an_alert_says_what_since_when_and_what_to_do(browser: httpx.AsyncClient, busy: Monitor) -> None:
    monitors.hung(busy)

    overview, alerts = (await browser.get(CONSOLE)).text, (await browser.get(f"{CONSOLE}/alerts")).text

    assert "learning has not answered for 7 sec." in overview
    assert overview.index("learning has not answered") < overview.index('id="map"')
    assert f"{CONSOLE}/logs?process=learning" in overview
    for said in ("mail operator@banyan.test", "webhook chat.test", "line 7: there is no figure", "learning → learning"):
        assert said in alerts


async def test_a_page_leads_back_to_itself_after_signing_in(browser: httpx.AsyncClient) -> None:
    browser.cookies.clear()

    answer = await browser.get(f"{CONSOLE}/logs?q=a&level=error")

    assert answer.headers["location"] == "/_banyan/login?next=/_banyan/console/logs%3Fq%3Da%26level%3Derror"
