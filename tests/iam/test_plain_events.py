"""Personal data that a program before this one wrote in plain text are sealed, and nothing else is changed."""

import asyncio
import json
import uuid
from datetime import UTC, datetime

import asyncpg
import pytest

from banyan.iam.adapters.person_keys import KeyVault
from banyan.iam.operations.person_keys import PersonKeys
from banyan.infra.postgres import Database
from banyan.infra.secrets import secret
from banyan.messaging.store.reading import Store

from .people import House
from .telling import ADD, EMAIL, NAME, PLAIN, erase, plain_event, registered, unmasked


async def test_what_was_told_in_plain_text_is_sealed_in_small_steps(house: House) -> None:
    living, gone = await registered(house, "a@example.com"), await registered(house)
    await house.database.fetch("DELETE FROM person_key")  # there were none before
    old = [await plain_event(house, account_id) for account_id in (living, living, gone, str(uuid.uuid4()))]
    blank = (PLAIN % living).replace(NAME, "").replace(EMAIL, "")
    blanked = await house.database.fetchval(ADD, living, blank)
    await erase(house)

    steps = [await house.iam.person_keys.seal_old_events(now=datetime.now(UTC), at_most=3) for _ in range(3)]

    assert steps == [3, 1, 0]
    rows = await house.database.fetch("SELECT data::text AS data FROM event")
    assert not [row for row in rows if NAME in row["data"] or EMAIL in row["data"]]
    assert json.loads(await house.database.fetchval("SELECT data FROM event WHERE id = $1", blanked)) == json.loads(
        blank
    )
    opened = [(await unmasked(house, event_id))["data"]["pii"] for event_id in (*old, blanked)]
    assert opened == [{"name": NAME, "email": EMAIL}] * 2 + [{"name": None, "email": None}] * 3
    assert await house.database.fetchval("SELECT count(*) FROM person_key") == 1


async def test_two_processes_do_not_seal_the_same(house: House, iam_database: Database) -> None:
    account_id = await registered(house)
    for _ in range(40):
        await plain_event(house, account_id)
    vault = KeyVault(lambda: secret(house.settings.secrets, "iam-person-keys"))
    other = PersonKeys(iam_database, vault, Store(house.settings, "iam", iam_database))

    sealed = 0
    while done := sum(
        await asyncio.gather(
            *(keys.seal_old_events(now=datetime.now(UTC), at_most=15) for keys in (house.iam.person_keys, other))
        )
    ):
        sealed += done

    assert sealed == 40


BLANKED = """jsonb_set(data, '{pii}', '{"name": "", "email": ""}')"""

ANOTHERS = """jsonb_set(data, '{pii}', '{"person": "somebody", "sealed": "x"}')"""

SEALED = "jsonb_set(data, '{pii}', jsonb_build_object('person', key, 'sealed', 'x'))"

EMPTY, MORE = SEALED.replace("'x'", "''"), SEALED.replace("'x'", "'x', 'more', 1")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE event SET type = 'banyan.iam.profile-changed.v1'",
        "UPDATE event SET data = '{}'",
        f"UPDATE event SET data = {BLANKED}",
        f"UPDATE event SET data = {ANOTHERS}",
        f"UPDATE event SET data = {EMPTY}",
        f"UPDATE event SET data = {MORE}",
        f"UPDATE event SET data = {SEALED}, at = now()",
        f"UPDATE event SET data = {SEALED} || jsonb_build_object('more', 1)",
        "DELETE FROM event",
        "TRUNCATE event",
    ],
)
async def test_an_event_in_plain_text_may_be_sealed_and_nothing_else(house: House, change: str) -> None:
    await plain_event(house, str(uuid.uuid4()))

    with pytest.raises(asyncpg.RestrictViolationError):
        await house.database.fetch(change)


async def test_a_sealed_event_is_never_sealed_anew(house: House) -> None:
    await registered(house)

    with pytest.raises(asyncpg.RestrictViolationError):
        await house.database.fetch(f"UPDATE event SET data = {SEALED} WHERE data ? 'pii'")
