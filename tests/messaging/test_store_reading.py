"""What operators and rebuilds read of a store: newest first, one, and all in order."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from banyan.infra import http
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.messaging import face
from banyan.messaging.face import stored
from banyan.messaging.store import archiving, days, reading, upkeep
from banyan.messaging.store.reading import Store
from tests.messaging.stored import NOW, SEALED, days_of, fill

STRAY = "INSERT INTO event (id, type, key, data, at) VALUES ($1, 'banyan.learning.told.v1', 'k', '{}', now())"


@pytest.fixture
async def ask(learning: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings.read({"BANYAN_DATA": str(tmp_path)})
    store = Store(settings, "learning", learning)
    app = http.application("learning", [face.router(stored.router(store, "learning"))], settings=settings)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x/internal/messaging") as client:
        yield client


async def listed(ask: httpx.AsyncClient, **params: str | int) -> list[dict[str, object]]:
    items: list[dict[str, object]] = []
    while True:
        answer = await ask.get("/events", params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next"] is None:
            return items
        params = {**params, "after": page["next"]}


async def test_every_statement_fits_the_schema(learning: Database) -> None:
    async with learning.connection() as connection:
        for module in (archiving, days, reading, upkeep):
            for name, text in vars(module).items():
                if name.isupper() and not name.startswith("_") and isinstance(text, str):
                    filled = text.format(table="event_stray", which="true") if module is archiving else text
                    await connection.prepare(filled)


async def test_the_newest_comes_first_and_pages_meet(learning: Database, ask: httpx.AsyncClient) -> None:
    ids = [*await fill(learning, days=4, each=5), *await fill(learning, days=1, each=2, ago=9)]
    for stray in (UUID(int=7), UUID(int=(1 << 128) - 2)):  # below and above every day
        await learning.fetch(STRAY, stray)
        ids.append(stray)

    found = await listed(ask, limit=3)

    assert [item["id"] for item in found] == [str(one) for one in sorted(ids, reverse=True)]
    assert [item["id"] for item in found[2:]] == [item["id"] for item in await listed(ask, after=str(found[1]["id"]))]


async def test_a_type_without_a_version_means_every_version(learning: Database, ask: httpx.AsyncClient) -> None:
    await fill(learning, days=1, each=2, kind="banyan.learning.told.v1")
    await fill(learning, days=1, each=3, kind="banyan.learning.told.v2")
    await fill(learning, days=1, each=1, kind="banyan.learning.told-more.v1")

    assert len(await listed(ask, type="banyan.learning.told")) == 5
    assert len(await listed(ask, type="banyan.learning.told.v2")) == 3
    assert len(await listed(ask, type="banyan.learning.t_ld")) == 0
    assert len(await listed(ask, type="%")) == 0


async def test_a_search_is_by_key_and_time(learning: Database, ask: httpx.AsyncClient) -> None:
    await fill(learning, days=3, each=4, key="a")
    await fill(learning, days=3, each=2, key="b")
    since = (NOW - timedelta(days=1)).date().isoformat() + "T00:00:00+00:00"

    assert len(await listed(ask, key="b", limit=4)) == 6
    assert len(await listed(ask, key="b", since=since)) == 4
    assert len(await listed(ask, since=since, limit=5)) == 12
    assert len(await listed(ask, until=since)) == 6
    assert len(await listed(ask, key="none")) == 0


async def test_a_page_costs_a_bounded_amount_of_work(
    learning: Database, ask: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_SEARCH_SECONDS", 0.0)
    await fill(learning, days=1, each=1, kind="banyan.learning.rare.v1", ago=3)
    await fill(learning, days=2, each=reading._WINDOW)

    page = (await ask.get("/events", params={"type": "banyan.learning.rare"})).json()

    assert page["items"] == []
    assert page["next"] is not None
    assert datetime.fromisoformat(page["searched_to"]) > NOW - timedelta(days=2)
    assert len(await listed(ask, type="banyan.learning.rare")) == 1


async def test_a_page_of_a_key_with_very_many_events_costs_no_more(learning: Database, ask: httpx.AsyncClient) -> None:
    await fill(learning, days=1, each=1, key="a", kind="banyan.learning.rare.v1", ago=3)
    await fill(learning, days=2, each=reading._WINDOW, key="a")

    page = (await ask.get("/events", params={"key": "a", "type": "banyan.learning.rare"})).json()

    assert page["items"] == []
    assert datetime.fromisoformat(page["searched_to"]) > NOW - timedelta(days=2)
    assert len(await listed(ask, key="a", type="banyan.learning.rare")) == 1


async def test_an_event_is_shown_with_its_personal_data_masked(learning: Database, ask: httpx.AsyncClient) -> None:
    [one] = await fill(learning, days=1, each=1, data={"n": 1, "pii": SEALED})

    shown = (await ask.get(f"/events/{one}")).json()

    assert shown["data"] == {"n": 1, "pii": {"name": "***", "email": "***"}}
    assert (shown["source"], shown["archived"], shown["unmasked"]) == ("learning", False, False)
    streamed = (await ask.get("/stream")).json()["items"][0]
    assert streamed["data"]["pii"] == SEALED, "sealed, for whoever has the key"


@pytest.mark.parametrize("wrong", ["x", "%20", "00000000-0000-0000-0000-000000000000"])
async def test_an_unknown_event_is_a_clear_refusal(ask: httpx.AsyncClient, learning: Database, wrong: str) -> None:
    answer = await ask.get(f"/events/{wrong}")
    assert answer.status_code == 404
    assert "learning knows no event" in answer.json()["detail"]


@pytest.mark.parametrize(
    "params", [{"after": "x"}, {"limit": "0"}, {"limit": "101"}, {"since": "yesterday"}, {"type": "x" * 300}]
)
async def test_what_cannot_be_asked_is_refused(ask: httpx.AsyncClient, params: dict[str, str]) -> None:
    assert (await ask.get("/events", params=params)).status_code == 422


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"since": "0001-01-01T00:00:00"}, 200),
        ({"since": "0001-01-01T00:00:00+09:00"}, 200),
        ({"until": "9999-12-31T23:59:59"}, 200),
        ({"until": "9999-12-31T23:59:59-09:00"}, 200),
        ({"since": "9999-12-31T23:59:59", "until": "0001-01-01T00:00:00"}, 200),
        ({"key": "a\0b"}, 200),
        ({"type": "a\0b"}, 200),
        ({"type": "%_\\"}, 200),
    ],
)
async def test_the_ends_of_the_calendar_and_what_no_event_has_are_asked_without_harm(
    learning: Database, ask: httpx.AsyncClient, params: dict[str, str], status: int
) -> None:
    await fill(learning, days=1, each=1)
    answer = await ask.get("/events", params=params)
    assert answer.status_code == status, answer.text


async def test_the_stream_is_in_the_order_of_positions_whatever_the_ids_say(
    learning: Database, ask: httpx.AsyncClient
) -> None:
    late = await fill(learning, days=3, each=3)
    early = await fill(learning, days=1, each=3, ago=5, kind="banyan.learning.other.v1")

    items, after = [], "0"
    while after is not None:
        page = (await ask.get("/stream", params={"after": after, "limit": 2})).json()
        items += page["items"]
        after = page["next"]

    assert [item["id"] for item in items] == [str(one) for one in (*late, *early)]
    assert [item["position"] for item in items] == list(range(1, 13))
    only = (await ask.get("/stream", params={"types": "banyan.learning.other,banyan.learning.none"})).json()
    assert [UUID(item["id"]) for item in only["items"]] == early
    assert len(await days_of(learning)) == 8 + 3


async def test_the_stream_is_cut_by_size_and_goes_on(
    learning: Database, ask: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_STREAM_BYTES", 5_000)
    ids = await fill(learning, days=1, each=10, data={"x": "y" * 2_000})

    items, after, pages = [], 0, 0
    while after is not None:
        page = (await ask.get("/stream", params={"after": after})).json()
        items += page["items"]
        after, pages = page["next"], pages + 1

    assert [UUID(item["id"]) for item in items] == ids
    assert pages > 3
