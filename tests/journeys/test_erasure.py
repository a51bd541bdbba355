"""A person registers, is known where they learn, and is erased: what lies on disk of what was told about them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest

from banyan.clients.messaging import MessagingClient
from banyan.contracts.messaging import Unmasking
from banyan.infra import databases, embedded
from banyan.infra.backup import dumps
from banyan.infra.service_tokens import ServiceToken
from banyan.infra.settings import Settings
from tests.messaging.waiting import until

from .front_door import FrontDoor, banyan_up

NAME, RENAMED, EMAIL, PASSWORD = "표범장지뱀", "흰꼬리수리", "pyobeom-1124@example.com", "correct horse battery"
TEXTS = (NAME, RENAMED, EMAIL, "pyobeom")
# Tables with what events say: the store's days, what waits, and every queue and archive of the bus.
TOLD = {
    "iam": "relkind = 'r' AND (relname LIKE 'event%' OR relname IN ('outbox', 'inbox', 'dead_letter'))",
    "learning": "relkind = 'r' AND (relname LIKE 'event%' OR relname IN ('outbox', 'inbox', 'dead_letter'))",
    "bus": "relkind = 'r' AND relnamespace = 'pgmq'::regnamespace",
}


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with banyan_up("--no-legacy") as door:
        yield door


@asynccontextmanager
async def opened(settings: Settings, database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(dumps.superuser_url(settings, database))
    try:
        yield connection
    finally:
        await connection.close()


async def files_with(settings: Settings, database: str, condition: str, texts: tuple[str, ...]) -> list[str]:
    """The tables whose files hold one of the texts, in whatever became of a row: none has to be alive."""
    async with opened(settings, database) as connection:
        await connection.execute("CHECKPOINT")
        rows = await connection.fetch(
            f"SELECT relname, pg_relation_filepath(oid) AS path FROM pg_class WHERE {condition}"
        )
    assert rows
    folder = embedded.data_folder(settings, databases.server_of(database))
    found = []
    for row in rows:
        content = (folder / row["path"]).read_bytes()
        found += [row["relname"] for text in texts if text.encode() in content]
    return found


async def person(settings: Settings, account_id: str) -> tuple[object, ...] | None:
    async with opened(settings, "learning") as learning:
        row = await learning.fetchrow("SELECT name, email, erased FROM person WHERE id = $1", UUID(account_id))
    return None if row is None else tuple(row)


async def becomes(settings: Settings, account_id: str, *wanted: object) -> None:
    async def is_so() -> bool:
        return await person(settings, account_id) == wanted

    await until(is_so, 20)


async def test_nothing_that_was_told_of_a_person_can_be_read_without_their_key(door: FrontDoor) -> None:
    settings = Settings.read({"BANYAN_DATA": str(door.data)})
    async with httpx.AsyncClient(base_url=f"{door.url}/_banyan/api/v1", headers={"origin": door.url}) as visitor:
        answer = await visitor.post("/accounts", json={"email": EMAIL, "password": PASSWORD, "name": NAME})
        account_id = answer.json()["id"]
        await becomes(settings, account_id, NAME, EMAIL, False)
        assert (await visitor.patch("/me", json={"name": RENAMED})).status_code == 204
        await becomes(settings, account_id, RENAMED, EMAIL, False)
        outside = await keys_from_outside(door, visitor, account_id)

        for database, condition in TOLD.items():
            assert await files_with(settings, database, condition, TEXTS) == [], f"in the database {database}"
        assert await files_with(settings, "iam", "relname = 'account'", (EMAIL,)) == ["account"], "the search itself"
        assert [status for status, _ in outside] == [404, 404]
        assert not any("key" in text for _, text in outside)
        assert (await visitor.request("DELETE", "/me", json={"password": PASSWORD})).status_code == 204

    await becomes(settings, account_id, "—", None, True)
    await told_again(settings, account_id)
    await becomes(settings, account_id, "—", None, True)
    await nothing_is_left(settings, account_id)


async def keys_from_outside(door: FrontDoor, visitor: httpx.AsyncClient, account_id: str) -> list[tuple[int, str]]:
    """As somebody who is signed in, and as somebody who even has a service's token."""
    token = ServiceToken(Settings.read({"BANYAN_DATA": str(door.data)}), service="learning", audience="iam")
    answers = [
        await visitor.post(f"{door.url}/internal/person-keys", json={"persons": [account_id]}, headers=headers)
        for headers in ({}, dict(token.headers()))
    ]
    return [(answer.status_code, answer.text) for answer in answers]


async def told_again(settings: Settings, account_id: str) -> None:
    """Publish all that was told of this person once more to a learning that has forgotten all of it."""
    async with opened(settings, "iam") as iam, opened(settings, "learning") as learning:
        await learning.execute("DELETE FROM inbox")
        await learning.execute("DELETE FROM person WHERE id = $1", UUID(account_id))
        registered = await iam.fetchval(
            "INSERT INTO outbox (event_id) SELECT id FROM event WHERE key = $1 AND data ? 'pii' ORDER BY position"
            " RETURNING event_id",
            account_id,
        )

        async def is_heard() -> bool:
            return bool(await learning.fetchval("SELECT count(*) FROM inbox WHERE event_id = $1", registered))

        await until(is_heard, 20)


async def nothing_is_left(settings: Settings, account_id: str) -> None:
    async with opened(settings, "iam") as iam:
        assert await iam.fetchval("SELECT count(*) FROM person_key") == 0
        event_id = await iam.fetchval("SELECT id FROM event WHERE key = $1 AND data ? 'pii' LIMIT 1", account_id)
    client = MessagingClient(settings, "iam")
    look = await client.unmasked(str(event_id), Unmasking(by="cli", reason="Is it gone?"))
    await client.close()
    assert look.data["pii"] == {"name": None, "email": None}
    logs = await asyncio.to_thread(lambda: [path for path in (settings.data / "logs").iterdir() if _tells(path)])
    assert logs == []


def _tells(path: Path) -> bool:
    content = path.read_bytes()
    return any(text.encode() in content for text in TEXTS)
