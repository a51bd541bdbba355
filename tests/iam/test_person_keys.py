"""Keys of people's data: made with the account, given to services only, gone for good with the account."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from fastapi import Request

from banyan.clients import people as client
from banyan.clients.people import People
from banyan.contracts import identity
from banyan.contracts.messaging import MOST_PERSONS
from banyan.iam.adapters.person_keys import KeysUnreadableError, KeyVault
from banyan.iam.domain import AccountId, AccountUnknown
from banyan.infra import http
from banyan.infra.http_client import ServiceAway
from banyan.infra.secrets import secret
from banyan.infra.service_tokens import ServiceToken, services_only
from banyan.messaging import privacy

from .people import House
from .telling import EMAIL, NAME, erase, registered, told_of


@asynccontextmanager
async def listening(house: House) -> AsyncIterator[None]:
    """iam where services look for it, without Envoy between."""
    stop = asyncio.Event()
    listener = http.listening_socket(house.settings.run / "internal.sock")
    serving = asyncio.create_task(http.serve(house.app, listener, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await serving
        listener.close()


@pytest.fixture
async def people(house: House) -> AsyncIterator[People]:
    asking = People(house.settings, service="learning")
    yield asking
    await asking.close()


async def test_what_iam_tells_of_a_person_opens_for_services_and_for_nobody_once_they_are_erased(
    house: House, people: People
) -> None:
    account_id = await registered(house)
    [told] = await told_of(house, account_id)
    assert set(told.data["pii"]) == {"person", "sealed"}

    async with listening(house):
        [before] = await privacy.opened([told], people)
        await erase(house)
        late = People(house.settings, service="learning")
        [after] = await privacy.opened([told], late)
        await late.close()

    assert before.data["pii"] == {"name": NAME, "email": EMAIL}
    assert after.data["pii"] == {"name": "", "email": ""}


async def test_a_key_is_remembered_for_its_time_and_forgotten_at_once_when_told(house: House) -> None:
    account_id, other = await registered(house), await registered(house, "other@example.com")
    now = [0.0]
    people = People(house.settings, service="learning", clock=lambda: now[0])
    async with listening(house):
        keys = await people.keys([account_id, other, str(uuid.uuid4()), "no account"])
    assert [key is None for key in keys.values()] == [False, False, True, True]

    now[0] = house.settings.person_keys
    assert await people.keys([account_id]) == {account_id: keys[account_id]}
    people.forget(account_id)
    assert await people.keys([account_id, other]) == {account_id: None, other: keys[other]}
    now[0] += 1
    with pytest.raises(ServiceAway):
        await people.keys([other])
    async with listening(house):
        with pytest.raises(ServiceAway):
            await people.keys([other])  # it was away a moment ago
        now[0] += 1
        assert await people.keys([other]) == {other: keys[other]}
    await people.close()


async def test_a_key_that_was_on_its_way_when_its_person_was_erased_is_not_used(house: House, people: People) -> None:
    account_id = await registered(house)

    async with listening(house):
        asking = asyncio.create_task(people.keys([account_id]))
        await asyncio.sleep(0)
        people.forget(account_id)
        assert await asking == {account_id: None}
    assert await people.keys([account_id]) == {account_id: None}


async def test_no_more_is_remembered_than_so_many_and_no_more_asked_for_at_once(
    house: House, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "REMEMBERED", 50)
    persons = [str(uuid.uuid4()) for _ in range(MOST_PERSONS * 2 + 1)]

    async with listening(house):
        assert await people.keys(persons) == dict.fromkeys(persons)
    assert await people.keys(persons[-50:]) == dict.fromkeys(persons[-50:])
    with pytest.raises(ServiceAway):
        await people.keys(persons[-51:])


async def test_nobody_but_a_service_is_given_a_key(house: House) -> None:
    account_id = await registered(house)
    visitor = house.browser(origin=None)
    await visitor.sign_in(EMAIL)
    wanted = {"persons": [account_id]}
    token = visitor.cookies[identity.SESSION_COOKIE]
    elsewhere = replace(house.settings, data=house.settings.data / "another")
    elsewhere.make_folders()

    answers = [
        await visitor.ask("POST", "/internal/person-keys", wanted),
        await visitor.ask("POST", "/internal/person-keys", wanted, authorization=f"Bearer {token}"),
        await visitor.ask("POST", "/internal/person-keys", wanted, authorization=f"Banyan-Service {token}"),
    ]
    for given in (
        ServiceToken(elsewhere, service="learning", audience="iam"),
        ServiceToken(house.settings, service="learning", audience="learning"),
        ServiceToken(house.settings, service="learning", audience="iam", clock=lambda: 1_000_000.0),
    ):
        answers.append(await visitor.ask("POST", "/internal/person-keys", wanted, **given.headers()))

    assert [(answer.status_code, answer.json()["type"]) for answer in answers] == [
        (401, "/_banyan/problems/services-only")
    ] * 6
    right = ServiceToken(house.settings, service="learning", audience="iam").headers()
    answer = await visitor.ask("POST", "/internal/person-keys", wanted, **right)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    many = {"persons": [str(uuid.uuid4()) for _ in range(MOST_PERSONS + 1)]}
    assert (await visitor.ask("POST", "/internal/person-keys", many, **right)).status_code == 422


def test_a_service_token_is_made_anew_before_it_ends_and_after_a_clock_was_set_back(house: House) -> None:
    now = [1_000_000.0]
    token = ServiceToken(house.settings, service="learning", audience="iam", clock=lambda: now[0])
    asked = services_only(house.settings, audience="iam", clock=lambda: now[0])
    given = []
    for at in (0.0, 20.0, 31.0, 500.0, -500.0):
        now[0] = 1_000_000.0 + at
        given.append(token.headers()["authorization"])
        lines = [(b"authorization", given[-1].encode())]
        assert asked(Request({"type": "http", "headers": lines})) == "learning"

    assert given[0] == given[1]
    assert len(set(given)) == 4


async def test_a_stolen_database_opens_nothing_and_a_lost_secret_erases_nobody(house: House, people: People) -> None:
    account_id = await registered(house)
    row = await house.database.fetchrow("SELECT account_id, sealed FROM person_key")
    assert row is not None
    vault = KeyVault(lambda: secret(house.settings.secrets, "iam-person-keys"))
    key = vault.open(AccountId(row["account_id"]), row["sealed"])
    assert key not in row["sealed"]
    with pytest.raises(KeysUnreadableError):
        vault.open(AccountId(uuid.uuid4()), row["sealed"])

    (house.settings.secrets / "iam-person-keys").unlink()

    async with listening(house):
        with pytest.raises(ServiceAway):
            await people.keys([account_id])


async def test_a_destroyed_key_does_not_come_back(house: House) -> None:
    account_id = await registered(house)
    kept = await house.database.fetchval("SELECT sealed FROM person_key")
    await erase(house)
    assert await house.database.fetchval("SELECT count(*) FROM person_key") == 0

    with pytest.raises(asyncpg.RestrictViolationError):
        await house.database.fetch("INSERT INTO person_key VALUES ($1, $2, now())", uuid.UUID(account_id), kept)
    other = await registered(house)
    with pytest.raises(asyncpg.RestrictViolationError):
        await house.database.fetch("UPDATE person_key SET sealed = $1", kept)
    assert other != account_id


async def test_who_was_erased_after_a_backup_is_erased_again_after_its_restore(house: House) -> None:
    account_id, other = await registered(house), await registered(house, "other@example.com")
    rows = await house.database.fetch("SELECT * FROM account WHERE id = $1", uuid.UUID(account_id))
    await erase(house)
    [kept] = (await house.iam.erasures()).items
    # As a backup has it that was taken before.
    await house.database.fetch(
        "UPDATE account SET email = $2, name = $3, roles = $4, erased_at = NULL WHERE id = $1",
        *(rows[0][name] for name in ("id", "email", "name", "roles")),
    )

    again = [await house.iam.accounts.erase_for(kept.account_id, now=lambda: datetime.now(UTC)) for _ in range(2)]

    assert again == [uuid.UUID(account_id), None]
    assert await house.iam.accounts.erase_for("OTHER@example.com", now=lambda: datetime.now(UTC)) == uuid.UUID(other)
    with pytest.raises(AccountUnknown):
        await house.iam.accounts.erase_for("other@example.com", now=lambda: datetime.now(UTC))
    assert [one.account_id for one in (await house.iam.erasures()).items] == [account_id, other]
    assert (await house.events()).count("account-erased") == 3


async def test_a_key_that_the_program_before_left_behind_is_destroyed(house: House) -> None:
    await registered(house)
    await house.database.fetch(
        "UPDATE account SET email = NULL, name = '', roles = '{}', password_hash = NULL, erased_at = now()"
    )

    await house.iam.housekeeping.clean(now=datetime.now(UTC))

    assert await house.database.fetchval("SELECT count(*) FROM person_key") == 0
