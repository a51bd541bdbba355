"""`/_banyan/metrics`: for an operator, or whoever has the token."""

from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web

from banyan.contracts.identity import Permission
from banyan.gateway.http import metrics
from banyan.infra import http, identity
from banyan.infra.identity import Verifier
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from tests.gateway.conftest import passed_on
from tests.gateway.envoy.people import Iam

METRICS = "/_banyan/metrics"
TEXT = '# TYPE a gauge\na{process="web"} 1\n'


@pytest.fixture
async def monitor(settings: Settings) -> AsyncIterator[None]:
    async def told(_: web.Request) -> web.Response:
        return web.Response(text=TEXT)

    app = web.Application()
    app.router.add_get("/metrics-of-all", told)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, http.listening_socket(settings.socket("monitor"))).start()
    yield
    await runner.cleanup()


@pytest.fixture
async def browser(settings: Settings, iam: Iam) -> AsyncIterator[httpx.AsyncClient]:
    check = identity.required(Verifier(iam, settings), Permission.OPERATE)
    app = http.application("gateway", [metrics.router(settings, check)], settings=settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=passed_on(iam)) as one:
        yield one


async def test_whoever_has_the_token_reads_them(browser: httpx.AsyncClient, settings: Settings, monitor: None) -> None:
    token = secret(settings.secrets, "metrics-token")

    answer = await browser.get(METRICS, headers={"authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.text) == (200, TEXT)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers["cache-control"] == "no-store"


async def test_an_operator_reads_them(browser: httpx.AsyncClient, iam: Iam, monitor: None) -> None:
    browser.cookies.set("banyan_session", iam.token(roles="operator"))

    assert (await browser.get(METRICS)).status_code == 200


@pytest.mark.parametrize("given", ["", "Bearer ", "Bearer wrong", "Basic wrong", "Bearer \xff", "bearer"])
async def test_nobody_else_does(browser: httpx.AsyncClient, monitor: None, given: str) -> None:
    answer = await browser.get(METRICS, headers={b"authorization": given.encode("latin-1")} if given else None)

    assert answer.status_code == 401
    assert TEXT not in answer.text


async def test_a_learner_may_not(browser: httpx.AsyncClient, iam: Iam, monitor: None) -> None:
    browser.cookies.set("banyan_session", iam.token(roles="learner"))

    assert (await browser.get(METRICS)).status_code == 403


async def test_while_monitor_is_away_it_says_so(browser: httpx.AsyncClient, settings: Settings) -> None:
    token = secret(settings.secrets, "metrics-token")

    assert (await browser.get(METRICS, headers={"authorization": f"Bearer {token}"})).status_code == 503
