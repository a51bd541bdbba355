"""Signing up, one's own account, and erasing it."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest

from banyan.contracts import identity

from .people import PASSWORD, House, claims_of


async def test_whoever_signs_up_is_signed_in_as_a_learner(house: House) -> None:
    visitor = house.browser()

    answer = await visitor.sign_up("  Haneul@Example.COM ", name=" 김  하늘 ")

    assert (answer.status_code, answer.json()["email"], answer.json()["roles"]) == (
        201,
        "haneul@example.com",
        ["learner"],
    )
    me = (await visitor.ask("GET", "/api/v1/me")).json()
    assert me == answer.json()
    assert me["name"] == "김 하늘"
    assert await house.events() == ["account-registered"]


async def test_cookies_are_out_of_reach_of_scripts_and_other_sites(house: House) -> None:
    visitor = house.browser()

    await visitor.sign_up("a@example.com")

    for name in (identity.SESSION_COOKIE, identity.FRESH_COOKIE, identity.REFERENCE_COOKIE, identity.DEVICE_COOKIE):
        line = visitor.attributes[name].lower()
        assert "httponly" in line
        assert "samesite=lax" in line
        assert "path=/" in line
        assert "secure" not in line  # the public URL of this house is http
        assert "domain" not in line
    assert "max-age=300" in visitor.attributes[identity.FRESH_COOKIE].lower()


async def test_a_known_email_is_not_registered_twice_in_any_spelling(house: House) -> None:
    await house.browser().sign_up("a@example.com")

    answer = await house.browser().sign_up("A@EXAMPLE.com")

    assert (answer.status_code, answer.json()["type"]) == (409, "/_banyan/problems/email-taken")
    assert await house.database.fetchval("SELECT count(*) FROM account") == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no-at-sign"),
        ("email", "a b@example.com"),
        ("email", "a@b"),
        ("email", "\ud800@example.com"),
        ("email", "a\x00@example.com"),
        ("email", f"a@{'b' * 250}.com"),
        ("name", ""),
        ("name", " "),
        ("name", "x" * 51),
        ("name", "a\x00b"),
        ("name", "a\u202eb"),
        ("password", "short"),
        ("password", "x" * 257),
        ("password", "a@example.com"),
        ("password", "\ud800" * 10),
        ("email", None),
        ("password", 12345678),
        ("name", ["x"]),
    ],
)
async def test_what_cannot_be_used_is_refused(house: House, field: str, value: object) -> None:
    wanted = {"email": "a@example.com", "password": PASSWORD, "name": "하늘", field: value}

    answer = await house.browser().ask("POST", "/api/v1/accounts", wanted)

    assert answer.status_code in (400, 422), answer.text
    assert await house.database.fetchval("SELECT count(*) FROM account") == 0


async def test_html_and_sql_are_kept_as_they_are(house: House) -> None:
    visitor = house.browser()
    name = "<script>'; DROP TABLE account; --"

    await visitor.sign_up("a@example.com", name=name)

    assert (await visitor.ask("GET", "/api/v1/me")).json()["name"] == name


async def test_a_new_name_is_in_the_token_at_once(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")
    session = visitor.session_id

    answer = await visitor.ask("PATCH", "/api/v1/me", {"name": "새 이름"})

    assert answer.status_code == 204
    assert visitor.session_id == session
    assert claims_of(visitor.cookies[identity.SESSION_COOKIE])["name"] == "새 이름"
    assert (await visitor.ask("GET", "/api/v1/me")).json()["name"] == "새 이름"
    assert await house.events() == ["account-registered", "profile-changed"]


async def test_a_new_password_ends_all_other_sessions(house: House) -> None:
    here, there = house.browser(), house.browser()
    await here.sign_up("a@example.com")
    await there.sign_in("a@example.com")

    wrong = await here.ask("PUT", "/api/v1/me/password", {"old": "not this", "new": "another horse"})
    right = await here.ask("PUT", "/api/v1/me/password", {"old": PASSWORD, "new": "another horse"})

    assert (wrong.status_code, right.status_code) == (422, 204)
    assert (await here.ask("GET", "/api/v1/me")).status_code == 200
    assert (await there.ask("GET", "/api/v1/me")).status_code == 401
    assert (await house.browser().sign_in("a@example.com")).status_code == 401
    assert (await house.browser().sign_in("a@example.com", "another horse")).status_code == 204


async def test_an_erased_account_leaves_nothing_personal(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("gone@example.com", name="떠난이")

    refused = await visitor.ask("DELETE", "/api/v1/me", {"password": "not this"})
    erased = await visitor.ask("DELETE", "/api/v1/me", {"password": PASSWORD})

    assert (refused.status_code, erased.status_code) == (422, 204)
    assert set(visitor.cookies) == {identity.DEVICE_COOKIE}
    assert (await house.browser().sign_in("gone@example.com")).status_code == 401
    for table in ("account", "session", "known_device", "audit", "mail", "attempt", "event"):
        rows = await house.database.fetch(f"SELECT t::text AS line FROM {table} t")
        assert not [row["line"] for row in rows if "gone@" in row["line"] or "떠난이" in row["line"]]
    assert await house.events() == ["account-registered", "session-revoked", "account-erased"]
    assert (await house.browser().sign_up("gone@example.com")).status_code == 201


async def test_names_changed_at_once_reach_everybody_in_one_order(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")
    await asyncio.gather(*(visitor.ask("PATCH", "/api/v1/me", {"name": f"n{number}"}) for number in range(12)))

    last = await house.database.fetchval(
        "SELECT id FROM event WHERE type LIKE '%profile-changed%' ORDER BY at DESC LIMIT 1"
    )
    told = await house.iam.person_keys.unmask(event_id=last, by="cli", reason="test", now=datetime.now(UTC))
    assert told.data["pii"]["name"] == (await visitor.ask("GET", "/api/v1/me")).json()["name"]


async def test_the_audit_is_only_ever_added_to(house: House) -> None:
    await house.browser().sign_up("a@example.com")

    actions = [row["action"] for row in await house.database.fetch("SELECT action FROM audit ORDER BY id")]
    assert actions == ["registered", "signed-in"]
    for change in ("UPDATE audit SET action = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await house.database.fetch(change)
