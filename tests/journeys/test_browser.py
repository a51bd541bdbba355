"""The journeys' browser notices what a developer would see in its console."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from . import browser, front_door

PAGES = {
    "/fine": "<h1>fine</h1>",
    "/refused-style": "<h1 style='color:red'>refused</h1>",
    "/refused-script": "<script>document.title = 'ran'</script>",
    "/lost-picture": "<img src='/lost.png'>",
    "/thrown": "<script src='/throws.js'></script>",
    "/throws.js": "throw new Error('out of order')",
}


@pytest.fixture
async def site() -> AsyncIterator[str]:
    """Pages under a strict content security policy."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = request.split(" ")[1]
        body = PAGES.get(path, "").encode()
        kind = "text/javascript" if path.endswith(".js") else "text/html"
        writer.write(
            f"HTTP/1.1 {'200 OK' if path in PAGES or path == '/favicon.ico' else '404 Not Found'}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            "Content-Security-Policy: default-src 'self'\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    port = front_door.free_port()
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    yield f"http://127.0.0.1:{port}"
    server.close()
    await server.wait_closed()


async def test_a_page_in_order_is_no_complaint(site: str) -> None:
    async with browser.visitor() as visitor:
        await visitor.page.goto(f"{site}/fine")

    assert visitor.complaints == []


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/refused-style", "Content Security Policy"),
        ("/refused-script", "Content Security Policy"),
        ("/lost-picture", "404"),
        ("/thrown", "out of order"),
    ],
)
async def test_what_the_console_says_fails_the_visit(site: str, path: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        async with browser.visitor() as visitor:
            await visitor.page.goto(f"{site}{path}")


async def test_a_tolerated_complaint_passes(site: str) -> None:
    async with browser.visitor(tolerated=[r"404.*/lost\.png"]) as visitor:
        await visitor.page.goto(f"{site}/lost-picture")

    assert len(visitor.complaints) == 1
