"""The pages over the real `learning` and its PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest
from fastapi import APIRouter

from banyan.demo import catalogue
from banyan.infra import http, migrations
from banyan.infra.http_client import HttpClient
from banyan.infra.identity import IamKeys, Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.learning.adapters import MediaFolder
from banyan.learning.domain.media import Signer
from banyan.learning.http import routers
from banyan.learning.operations import seed
from banyan.learning.operations.views import Views

from .conftest import BROWSER, build
from .markup import Page

DEMO = catalogue.courses(30, people=catalogue.FEWEST_PEOPLE)


@pytest.fixture
async def visitor(folder: Path, learning_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    await migrations.migrate(learning_database, "learning")
    await seed.fill(learning_database, courses=DEMO, people=catalogue.people(catalogue.FEWEST_PEOPLE))
    settings = Settings(data=folder)
    learning = http.application("learning", _faces(learning_database, settings), settings=settings)
    stop = asyncio.Event()
    serving = asyncio.create_task(http.serve(learning, http.listening_socket(folder / "internal.sock"), stop=stop))
    private = HttpClient(folder / "internal.sock", "learning")
    app = build(settings, private)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url=settings.url, headers=BROWSER
    ) as client:
        yield client
    await private.close()
    stop.set()
    await serving


@pytest.mark.parametrize("sort", ["newest", "popular"])
async def test_the_pager_walks_through_every_course_once(visitor: httpx.AsyncClient, sort: str) -> None:
    path, slugs = f"/courses?sort={sort}", []
    while path:
        page = Page((await visitor.get(path)).text)
        links = [link.attributes["href"] for link in page.all("a") if "h2" in link.inside]
        slugs += [unquote(link.removeprefix("/courses/")) for link in links]
        path = next((link.attributes["href"] for link in page.all("a", rel="next")), "")

    assert sorted(slugs) == sorted(course.slug for course in DEMO)


async def test_filters_leave_only_what_fits(visitor: httpx.AsyncClient) -> None:
    wanted = {course.title for course in DEMO if course.price == 0 and course.language == "ko"}

    page = Page((await visitor.get("/courses?price=free&language=ko", headers={"accept-language": "en"})).text)

    assert page.texts("p", class_="count") == [f"{len(wanted)} courses"]
    assert set(page.texts("h2", class_="title")) <= wanted


async def test_a_course_opens_from_its_card_and_an_unknown_one_does_not(visitor: httpx.AsyncClient) -> None:
    course = DEMO[0]

    answer = await visitor.get(f"/courses/{quote(course.slug)}", headers={"accept-language": "ko"})
    unknown = await visitor.get(f"/courses/{quote(course.slug)}-2", headers={"accept-language": "ko"})

    page = Page(answer.text)
    assert page.texts("h1") == [course.title]
    assert page.texts("span", class_="chapter-title") == [section.title for section in course.sections]
    assert unknown.status_code == 404
    assert Page(unknown.text).texts("h1") == ["이 강의를 찾을 수 없어요"]


@pytest.mark.parametrize(
    "query", ["q=%00", "q=%25_%5C'", "category=%F0%9F%8C%B3", "q=" + "가" * 500, "limit=0", "q=%ff%fe"]
)
async def test_odd_questions_get_a_list(visitor: httpx.AsyncClient, query: str) -> None:
    assert (await visitor.get(f"/courses?{query}")).status_code == 200


@pytest.mark.parametrize("after", ["x", "%00", "W10", "WzFd", "x" * 501])
async def test_a_place_that_is_none_leads_to_the_first_page(visitor: httpx.AsyncClient, after: str) -> None:
    answer = await visitor.get(f"/courses?after={after}", follow_redirects=True)

    assert answer.status_code == 200
    assert answer.url.query in (b"", f"after={after}".encode())


def _faces(database: Database, settings: Settings) -> Sequence[APIRouter]:
    """Nobody is signed in here, so no keys are asked for."""
    return routers(
        database,
        verifier=Verifier(IamKeys(settings), settings),
        signer=Signer("secret of a test", timedelta(hours=1)),
        folder=MediaFolder(settings.objects),
        views=Views(database),
    )
