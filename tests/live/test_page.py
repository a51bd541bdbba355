"""The module on a course page, in Chromium, before a real live process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import expect

import banyan.web
from tests.journeys.browser import visitor

from .conftest import Start
from .living import Process, School

MODULE = Path(banyan.web.__file__).parent / "assets" / "live.js"
PAGE = """<!doctype html><html lang="{language}"><title>x</title><link rel="icon" href="data:,"><body>
<span data-live-course="spring" data-live-count="{count}" data-live-one="{one}" data-live-other="{other}">served</span>
<script type="module" src="/live.js"></script></body></html>"""


class Door:
    """What Envoy is before the process: pages, the module, and the stream passed on. `asked` are its addresses."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.asked: list[str] = []
        self.refusing = False

    async def page(self, request: web.Request) -> web.Response:
        text = PAGE.format(**{"language": "en", "one": "{} learner", "other": "{} learners", **request.query})
        return web.Response(
            text=text,
            content_type="text/html",
            headers={"content-security-policy": "default-src 'self'; img-src data:"},
        )

    async def module(self, _: web.Request) -> web.Response:
        return web.Response(body=MODULE.read_bytes(), content_type="text/javascript")

    async def stream(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs + request.headers.get("last-event-id", ""))
        if self.refusing:
            return web.Response(status=503)
        connector = aiohttp.UnixConnector(path=str(self._process.socket))
        async with aiohttp.ClientSession("http://live", connector=connector) as session:
            target = request.path_qs.removeprefix("/_banyan")
            async with session.get(target, headers=request.headers, timeout=aiohttp.ClientTimeout()) as answer:
                response = web.StreamResponse(headers={"content-type": answer.content_type})
                await response.prepare(request)
                with contextlib.suppress(aiohttp.ClientError):  # the process is killed, or the page is gone
                    async for part in answer.content.iter_any():
                        await response.write(part)
                return response

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        application = web.Application()
        application.router.add_get("/", self.page)
        application.router.add_get("/live.js", self.module)
        application.router.add_get("/_banyan/api/v1/courses/{slug}/live", self.stream)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@pytest.fixture
async def door(start: Start) -> Door:
    return Door(await start())


async def test_the_number_rises_without_a_reload_and_never_falls(door: Door, school: School) -> None:
    async with door.open() as url, visitor() as someone:
        await someone.page.goto(f"{url}/?count=0")
        shown = someone.page.locator("[data-live-course]")

        await school.enrol(learners=1)
        await expect(shown).to_have_text("1 learner")
        await school.enrol(learners=1234)
        await expect(shown).to_have_text("1,234 learners")

        await someone.page.goto(f"{url}/?count=2000&language=ko&other=수강생 {{}}명")
        await asyncio.sleep(0.5)
        await expect(shown).to_have_text("served")
        await school.enrol(learners=2001)
        await expect(shown).to_have_text("수강생 2,001명")


async def test_a_page_that_was_refused_or_cut_off_comes_again_by_itself(door: Door, school: School) -> None:
    async with door.open() as url, visitor(tolerated=["503|500|INCOMPLETE_CHUNKED"]) as someone:
        door.refusing = True
        await someone.page.goto(f"{url}/?count=0")
        shown = someone.page.locator("[data-live-course]")
        while not door.asked:
            await asyncio.sleep(0.02)
        door.refusing = False
        await school.enrol()
        await expect(shown).to_have_text("1 learner")

        door._process.kill()
        await school.enrol()
        await door._process.start()
        await expect(shown).to_have_text("2 learners")

    assert door.asked[-1].endswith("1"), door.asked
