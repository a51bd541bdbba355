"""Signing in and out, renewing, and what ends a session."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from passlib.hash import phpass

from banyan.contracts import identity
from banyan.demo import catalogue
from banyan.iam.operations import seed
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.processes import iam

from .people import House, claims_of


async def test_every_sign_in_has_a_session_of_its_own(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")
    first, reference = visitor.session_id, visitor.cookies[identity.REFERENCE_COOKIE]

    answer = await visitor.sign_in("a@example.com")

    assert answer.status_code == 204
    assert visitor.session_id != first
    assert visitor.cookies[identity.REFERENCE_COOKIE] != reference
    revoked = (await visitor.ask("GET", "/internal/revoked-sessions")).json()["items"]
    assert revoked == [first]


async def test_a_session_that_an_attacker_chose_is_not_taken_over(house: House) -> None:
    attacker, victim = house.browser(), house.browser()
    await attacker.sign_up("attacker@example.com")
    await house.browser().sign_up("victim@example.com")
    victim.cookies.update(attacker.cookies)

    await victim.sign_in("victim@example.com")

    assert victim.session_id != attacker.session_id
    assert (await attacker.ask("GET", "/api/v1/me")).status_code == 401
    assert (await victim.ask("GET", "/api/v1/me")).json()["email"] == "victim@example.com"


async def test_signing_out_ends_the_session_and_may_be_repeated(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")
    kept = dict(visitor.cookies)

    first = await visitor.ask("DELETE", "/api/v1/session")
    visitor.cookies = kept
    again = await visitor.ask("DELETE", "/api/v1/session")

    assert (first.status_code, again.status_code) == (204, 204)
    assert set(visitor.cookies) == {identity.DEVICE_COOKIE}
    visitor.cookies = kept
    assert (await visitor.ask("GET", "/api/v1/me")).status_code == 401
    assert await house.events() == ["account-registered", "session-revoked"]


async def test_eight_parallel_requests_are_one_renewal(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")
    old = visitor.cookies[identity.SESSION_COOKIE]
    del visitor.cookies[identity.FRESH_COOKIE]

    answers = await asyncio.gather(*(visitor.ask("GET", f"/gw/refresh?u=/a?x={n}") for n in range(8)))

    tokens = {answer.headers["x-banyan-token"] for answer in answers}
    assert {answer.status_code for answer in answers} == {200}
    assert len(tokens) == 1
    assert house.iam.sessions.renewals == 1
    assert claims_of(tokens.pop())["sid"] == claims_of(old)["sid"]
    assert identity.FRESH_COOKIE in visitor.cookies


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "PROPFIND"])
async def test_a_renewal_is_answered_200_whatever_is_asked(house: House, method: str) -> None:
    visitor = house.browser()
    nobody = await visitor.ask(method, "/gw/refresh?u=/login")
    visitor.cookies = {identity.SESSION_COOKIE: "x.y.z", identity.REFERENCE_COOKIE: "forged"}
    forged = await house.client.request(
        method, "/gw/refresh?u=/", headers={"cookie": "banyan_session=rubbish; banyan_ref=forged"}
    )

    for answer in (nobody, forged):
        assert (answer.status_code, answer.headers["x-banyan-gone"]) == (200, "1")
        assert "x-banyan-token" not in answer.headers
        deleted = " ".join(answer.headers.get_list("set-cookie"))
        assert all(f"{name}=" in deleted for name in ("banyan_session", "banyan_fresh", "banyan_ref"))


async def test_a_renewal_says_nothing_while_the_database_is_away(settings: Settings) -> None:
    nowhere = Database("postgresql://nobody@/nothing?host=/nonexistent")
    made = iam.Iam(settings, nowhere)
    lonely = House(settings, nowhere, made)

    answer = await lonely.client.get("/gw/refresh?u=/", headers={"cookie": "banyan_ref=something"})

    assert answer.status_code == 200
    assert not {"x-banyan-gone", "x-banyan-token", "set-cookie"} & set(answer.headers)
    await lonely.close()
    made.passwords.close()


async def test_a_renewal_after_the_end_is_told_that_it_is_over(house: House) -> None:
    here, there = house.browser(), house.browser()
    await here.sign_up("a@example.com")
    await there.sign_in("a@example.com")
    await there.ask("GET", "/gw/refresh?u=/")  # made just before, and kept for those who come with it

    listed = (await here.ask("GET", "/api/v1/sessions")).json()["items"]
    other = next(session["id"] for session in listed if not session["current"])
    ended = await here.ask("DELETE", f"/api/v1/sessions/{other}")

    assert (len(listed), ended.status_code) == (2, 204)
    answer = await there.ask("GET", "/gw/refresh?u=/")
    assert answer.headers["x-banyan-gone"] == "1"
    assert other in (await here.ask("GET", "/internal/revoked-sessions")).json()["items"]


async def test_signing_in_again_ends_the_session_before_for_those_who_come_with_a_renewal_too(house: House) -> None:
    visitor, former = house.browser(), house.browser()
    await visitor.sign_up("a@example.com")
    await visitor.ask("GET", "/gw/refresh?u=/")  # made just before, and kept for those who come with it
    former.cookies = dict(visitor.cookies)

    await visitor.sign_in("a@example.com")

    answer = await former.ask("GET", "/gw/refresh?u=/")
    assert answer.headers["x-banyan-gone"] == "1"
    assert "x-banyan-token" not in answer.headers


async def test_nobody_ends_a_session_of_somebody_else(house: House) -> None:
    mine, theirs = house.browser(), house.browser()
    await mine.sign_up("mine@example.com")
    await theirs.sign_up("theirs@example.com")

    answer = await mine.ask("DELETE", f"/api/v1/sessions/{theirs.session_id}")

    assert answer.status_code == 404
    assert (await theirs.ask("GET", "/api/v1/me")).status_code == 200


async def test_all_other_sessions_can_be_ended_at_once(house: House) -> None:
    here, *others = (house.browser() for _ in range(4))
    await here.sign_up("a@example.com")
    for other in others:
        await other.sign_in("a@example.com")

    await here.ask("DELETE", "/api/v1/sessions")

    assert [session["id"] for session in (await here.ask("GET", "/api/v1/sessions")).json()["items"]] == [
        here.session_id
    ]
    for other in others:
        assert (await other.ask("GET", "/gw/refresh?u=/")).headers["x-banyan-gone"] == "1"


async def test_the_reference_is_kept_only_as_a_digest(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")

    rows = await house.database.fetch(
        "SELECT t::text AS line FROM session t UNION ALL SELECT d::text FROM known_device d"
    )

    secrets = (visitor.cookies[identity.REFERENCE_COOKIE], visitor.cookies[identity.DEVICE_COOKIE])
    assert not [row for row in rows for secret in secrets if secret in row["line"]]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://banyan.example.evil.example", "", None])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/api/v1/session", None),
        ("PATCH", "/api/v1/me", {"name": "evil"}),
        ("DELETE", "/api/v1/me", {"password": "x"}),
        ("POST", "/api/v1/session", {"email": "a@example.com", "password": "x"}),
        ("POST", "/api/v1/password-resets", {"email": "a@example.com"}),
        ("DELETE", "/api/v1/sessions", None),
    ],
)
async def test_another_sites_page_changes_nothing(
    house: House, origin: str | None, method: str, path: str, body: object
) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")
    visitor.origin = origin

    answer = await visitor.ask(method, path, body)

    assert (answer.status_code, answer.json()["type"]) == (403, "/_banyan/problems/foreign-page")


async def test_a_bearer_needs_no_origin(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")
    token, session = visitor.cookies[identity.SESSION_COOKIE], visitor.session_id
    visitor.cookies, visitor.origin = {}, None

    answer = await visitor.ask(
        "PATCH", "/api/v1/me", {"name": "App"}, authorization=f"Bearer {token}", **{"x-banyan-session": session}
    )

    assert answer.status_code == 204


async def test_the_demos_people_sign_in_and_their_hashes_become_new(house: House) -> None:
    assert await seed.fill(house.database, catalogue.people(60)) == 60
    assert await seed.fill(house.database, catalogue.people(60)) == 0
    before = await house.database.fetchval("SELECT password_hash FROM account WHERE email = 'operator@banyan.test'")
    browsers = [house.browser(address=f"198.51.100.{n}") for n in range(4)]

    answers = await asyncio.gather(*(one.sign_in("operator@banyan.test", catalogue.PASSWORD) for one in browsers))

    assert {answer.status_code for answer in answers} == {204}
    assert phpass.identify(before)
    after = await house.database.fetchval("SELECT password_hash FROM account WHERE email = 'operator@banyan.test'")
    assert after.startswith("$argon2id$")
    assert claims_of(browsers[0].cookies[identity.SESSION_COOKIE])["roles"] == "learner,operator"
    assert claims_of(browsers[0].cookies[identity.SESSION_COOKIE])["sub"] == catalogue.account_id(4)
    assert "account-registered" not in await house.events()


async def test_a_new_key_is_published_before_it_signs_and_the_old_one_stays(house: House) -> None:
    visitor = house.browser()
    await visitor.sign_up("a@example.com")
    now = datetime.now(UTC)
    token_life, notice = house.iam.lifetimes.token, timedelta(seconds=house.settings.key_notice)

    key = await house.iam.signing.rotate(now=now)

    assert key.kid in await house.iam.signing.published(now=now)
    before = await house.iam.signing.published(now=now + notice - timedelta(seconds=1))
    after = await house.iam.signing.published(now=now + notice + token_life)
    long_after = await house.iam.signing.published(now=now + notice + token_life * 2)
    assert [text.count('"kid"') for text in (before, after, long_after)] == [2, 2, 1]
    assert key.kid in long_after
    assert (await visitor.ask("GET", "/api/v1/me")).status_code == 200


async def test_private_keys_are_not_readable_in_the_database_or_from_outside(house: House) -> None:
    private = await house.database.fetchval("SELECT private FROM signing_key")
    shown = (await house.client.get("/internal/keys")).json()["jwks"]

    assert '"d"' not in private
    assert '"d"' not in shown
    assert '"alg": "ES256"' in shown


async def test_cookies_are_secure_where_the_public_url_is_https(house: House) -> None:
    told = replace(house.settings, public_url="https://banyan.example")
    secure = House(told, house.database, house.iam)
    visitor = secure.browser(origin="https://banyan.example")

    await visitor.sign_up("a@example.com")

    assert all("; secure" in line.lower() for line in visitor.attributes.values())
    assert len(visitor.attributes) == 4
    await secure.close()


async def test_an_ended_session_changes_nothing_in_the_seconds_until_envoy_knows(house: House) -> None:
    owner, thief = house.browser(), house.browser()
    await owner.sign_up("a@example.com")
    await thief.sign_in("a@example.com")
    await owner.ask("DELETE", "/api/v1/sessions")

    answers = [
        await thief.ask("PATCH", "/api/v1/me", {"name": "thief"}),
        await thief.ask("DELETE", "/api/v1/sessions"),
        await thief.ask("DELETE", f"/api/v1/sessions/{owner.session_id}"),
        await thief.ask("GET", "/api/v1/sessions"),
    ]

    assert [answer.status_code for answer in answers] == [401] * 4
    assert (await owner.ask("GET", "/api/v1/me")).status_code == 200
