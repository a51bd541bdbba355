"""A look at the personal data of one event: by whom, why, and what is there of whom."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from banyan.contracts import identity
from banyan.contracts.messaging import MASK
from banyan.infra.postgres import Database
from banyan.messaging.store import archiving
from banyan.messaging.store.reading import Search, Store

from .people import House
from .telling import EMAIL, NAME, erase, plain_event, registered, told_of, unmasked


async def test_a_look_at_personal_data_is_written_down_with_who_and_why(house: House) -> None:
    account_id = await registered(house)
    [told] = await told_of(house, account_id)
    looker = str(uuid.uuid4())

    found = await unmasked(house, uuid.UUID(told.id), by=looker)

    assert (found["unmasked"], found["data"]["pii"]) == (True, {"name": NAME, "email": EMAIL})
    line = await house.database.fetchrow("SELECT * FROM audit WHERE action = 'event-unmasked'")
    assert line is not None
    assert (str(line["actor"]), str(line["subject"])) == (looker, account_id)
    assert line["detail"] == f"{told.id} A learner asked what we sent"
    await erase(house)
    assert (await unmasked(house, uuid.UUID(told.id)))["data"]["pii"] == {"name": None, "email": None}
    assert await house.database.fetchval("SELECT count(*) FROM audit WHERE action = 'event-unmasked'") == 2


async def test_a_look_without_who_or_why_or_through_envoy_is_refused(house: House) -> None:
    account_id = await registered(house)
    [told] = await told_of(house, account_id)
    path = f"/internal/messaging/events/{told.id}/unmasked"

    async def look(at: str = path, by: str = "cli", reason: str = "because", **headers: str) -> int:
        body = {"by": by, "reason": reason}
        return (await house.client.post(at, json=body, headers=headers)).status_code

    assert [
        await look(by="somebody"),
        await look(reason="  "),
        await look(reason="x" * 201),
        await look(path.replace(told.id, str(uuid.uuid4()))),
        await look(**{"x-forwarded-for": "127.0.0.1"}),
    ] == [422, 422, 422, 404, 404]
    assert await house.database.fetchval("SELECT count(*) FROM audit WHERE action = 'event-unmasked'") == 0


def test_only_an_admin_may_see_personal_data() -> None:
    holders = {role for role, granted in identity.GRANTS.items() if "iam.personal-data.see" in granted}

    assert holders == {identity.Role.ADMIN}


async def test_where_events_are_shown_personal_data_are_masked_and_those_of_the_erased_are_none(house: House) -> None:
    living, gone = await registered(house, "a@example.com"), await registered(house)
    await plain_event(house, living)
    await erase(house)
    store = Store(house.settings, "iam", house.database, erased=house.iam.person_keys.erased)

    page = await store.newest(Search(kind="banyan.iam.account-registered"), after=None, limit=10)

    shown = [(item.key, item.data["pii"]["name"]) for item in page.items]
    assert shown == [(living, MASK), (gone, None), (living, MASK)]
    for item in page.items:
        assert (await store.event(uuid.UUID(item.id))).data == item.data


async def test_what_is_archived_opens_as_before_and_is_archived_sealed_only(
    house: House, iam_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await registered(house)
    [told] = await told_of(house, account_id)
    before = await plain_event(house, account_id)
    monkeypatch.setenv("BANYAN_IAM_DATABASE_URL", iam_database._url)
    later = datetime.now(UTC) + timedelta(days=house.settings.event_retention + 2)
    await house.database.fetch("DELETE FROM outbox")

    kept = []
    for _ in range(2):
        await archiving.archive_due(house.settings, "iam", now=later)
        kept.append(await house.database.fetchval("SELECT count(*) FROM event"))
        await house.iam.person_keys.seal_old_events(now=datetime.now(UTC))

    assert kept == [2, 0]
    for event_id in (uuid.UUID(told.id), before):
        found = await unmasked(house, event_id)
        assert (found["archived"], found["data"]["pii"]) == (True, {"name": NAME, "email": EMAIL})
    archive = await Store(house.settings, "iam", iam_database).stream([], after=0, limit=10)
    assert [set(one.data["pii"]) for one in archive.items] == [{"person", "sealed"}] * 2
    await erase(house)
    assert (await unmasked(house, before))["data"]["pii"] == {"name": None, "email": None}
