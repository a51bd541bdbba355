"""The pages as they run, with a small real service in `learning`'s place."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from banyan.contracts.learning import Course
from banyan.infra import http
from banyan.infra.http_client import HttpClient
from banyan.infra.settings import Settings
from banyan.processes import web

from . import identities
from .iam_standin import IamStandIn
from .identities import Person
from .standin import LearningStandIn, demo_courses

SITE = "https://learn.example"
BROWSER = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


@dataclass
class Site:
    app: FastAPI
    learning: LearningStandIn
    visitor: httpx.AsyncClient
    iam: IamStandIn

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.visitor.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def post(self, path: str, person: Person | None = None, **fields: str) -> httpx.Response:
        """A form sent from a page of this site, by a browser."""
        headers = {"origin": SITE, "sec-fetch-site": "same-origin", **(person.headers if person else {})}
        return await self.visitor.post(path, data=fields, headers=headers)

    async def seen_by(self, person: Person, path: str, **headers: str) -> httpx.Response:
        return await self.get(path, **{**person.headers, **headers})


def build(settings: Settings, private: HttpClient) -> FastAPI:
    return web.build(settings, learning=private, iam=private, verifier=identities.verifier(settings))


@pytest.fixture(scope="session")
def courses() -> list[Course]:
    return demo_courses(45)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="by-", dir="/tmp"))  # pytest's own folders are too deep for a Unix socket
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def site(folder: Path, courses: list[Course]) -> AsyncIterator[Site]:
    """The pages over ASGI, with `learning` answering."""
    iam = IamStandIn()
    learning = LearningStandIn(list(courses), iam)
    private = HttpClient(folder / "internal.sock", "learning")
    app = build(Settings(data=folder, public_url=SITE), private)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        learning.serving(folder / "internal.sock"),
        httpx.AsyncClient(transport=transport, base_url=SITE, headers=BROWSER) as up,
    ):
        yield Site(app, learning, up, iam)
        await private.close()


@pytest.fixture
async def lonely(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The pages while nobody answers in `learning`'s place."""
    private = HttpClient(folder / "internal.sock", "learning")
    app = build(Settings(data=folder, public_url=SITE), private)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=SITE, headers=BROWSER) as visitor:
        yield visitor
    await private.close()


@pytest.fixture
async def address(folder: Path, courses: list[Course]) -> AsyncIterator[tuple[str, LearningStandIn]]:
    """The pages on a port, for a browser."""
    learning = LearningStandIn(list(courses), IamStandIn())
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    private = HttpClient(folder / "internal.sock", "learning")
    stop = asyncio.Event()
    async with learning.serving(folder / "internal.sock"):
        app = build(Settings(data=folder, port=port), private)
        serving = asyncio.create_task(http.serve(app, listener, stop=stop))
        yield f"http://127.0.0.1:{port}", learning
        stop.set()
        await serving
        await private.close()
