"""Guessing is slow, the owner is never locked out, and nobody learns which accounts there are."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from banyan.contracts import identity
from banyan.iam.domain import Limit
from banyan.processes import iam

from .people import House


async def guess(house: House, email: str, times: int, **more: str) -> list[int]:
    stranger = house.browser(**more)
    return [(await stranger.sign_in(email, f"wrong {n}")).status_code for n in range(times)]


async def test_after_five_failures_an_account_waits_for_strangers(house: House) -> None:
    owner = house.browser()
    await owner.sign_up("a@example.com")

    answers = await guess(house, "a@example.com", 8)
    refused = await house.browser(address="198.51.100.9").sign_in("a@example.com")

    assert answers == [401] * 5 + [429] * 3
    assert (refused.status_code, refused.json()["type"]) == (429, "/_banyan/problems/too-many-attempts")
    assert 1 <= int(refused.headers["retry-after"]) <= house.settings.attempts_wait


async def test_the_owner_signs_in_from_a_known_browser_all_the_same(house: House) -> None:
    owner = house.browser()
    await owner.sign_up("a@example.com")
    await owner.ask("DELETE", "/api/v1/session")
    await guess(house, "a@example.com", 8, address=owner.address)

    assert (await owner.sign_in("a@example.com")).status_code == 204


async def test_a_known_browser_is_not_free_to_guess(house: House) -> None:
    thief = house.browser()
    await thief.sign_up("a@example.com")
    del thief.cookies[identity.REFERENCE_COOKIE]

    answers = [(await thief.sign_in("a@example.com", "wrong")).status_code for _ in range(7)]

    assert answers == [401] * 5 + [429] * 2


async def test_a_browser_known_to_one_account_is_a_stranger_to_another(house: House) -> None:
    attacker = house.browser()
    await attacker.sign_up("attacker@example.com")
    await house.browser().sign_up("victim@example.com")
    await guess(house, "victim@example.com", 6)

    assert (await attacker.sign_in("victim@example.com", "wrong")).status_code == 429


async def test_only_failures_count(house: House) -> None:
    await house.browser().sign_up("a@example.com")

    answers = [(await house.browser().sign_in("a@example.com")).status_code for _ in range(8)]

    assert answers == [204] * 8
    assert await house.database.fetchval("SELECT count(*) FROM attempt") == 0


async def test_a_success_starts_the_accounts_count_anew(house: House) -> None:
    await house.browser().sign_up("a@example.com")

    for _ in range(3):
        await guess(house, "a@example.com", 4)
        assert (await house.browser().sign_in("a@example.com")).status_code == 204


async def test_spraying_one_password_over_many_accounts_waits_for_the_address(house: House) -> None:
    sprayer = house.browser(address="198.51.100.7")

    answers = [(await sprayer.sign_in(f"u{n}@example.com", "Password1!")).status_code for n in range(33)]

    assert answers == [401] * 30 + [429] * 3
    assert (await house.browser(address="198.51.100.8").sign_in("u1@example.com")).status_code == 401


async def test_addresses_of_one_ipv6_network_are_one(house: House) -> None:
    answers = []
    for n in range(32):
        sprayer = house.browser(address=f"2001:db8:1:2::{n:x}")
        answers.append((await sprayer.sign_in(f"u{n}@example.com", "x")).status_code)

    assert answers == [401] * 30 + [429] * 2


async def test_a_client_cannot_write_its_own_address(house: House) -> None:
    answers = []
    for n in range(32):
        sprayer = house.browser(address=f"10.0.0.{n}, 198.51.100.7")
        answers.append((await sprayer.sign_in(f"u{n}@example.com", "x")).status_code)

    assert answers[-2:] == [429, 429]


async def test_many_guesses_at_once_are_no_more_than_one_after_the_other(house: House) -> None:
    await house.browser().sign_up("a@example.com")

    answers = await asyncio.gather(
        *(house.browser(address=f"198.51.100.{n}").sign_in("a@example.com", "wrong") for n in range(40))
    )

    statuses = [answer.status_code for answer in answers]
    assert statuses.count(401) == 5
    assert set(statuses) == {401, 429, 503}


async def test_unknown_and_known_accounts_answer_alike(house: House) -> None:
    await house.browser().sign_up("known@example.com")

    for wrong in (1, 6):  # before and after the limit
        known = [await house.browser().sign_in("known@example.com", "wrong") for _ in range(wrong)][-1]
        unknown = [await house.browser().sign_in("unknown@example.com", "wrong") for _ in range(wrong)][-1]
        assert (known.status_code, known.json()["type"]) == (unknown.status_code, unknown.json()["type"])
        assert known.headers.keys() == unknown.headers.keys()


@pytest.mark.parametrize("email", ["known@example.com", "unknown@example.com", "not an address", ""])
async def test_every_refused_sign_in_costs_the_same_work(house: House, email: str) -> None:
    await house.browser().sign_up("known@example.com")
    before = house.iam.passwords.verifications

    assert (await house.browser().sign_in(email, "wrong")).status_code == 401

    assert house.iam.passwords.verifications == before + 1
    assert await house.database.fetchval("SELECT array_agg(scope ORDER BY scope) FROM attempt") == [
        "account",
        "address",
    ]


async def test_a_known_email_can_be_asked_for_by_registering_only_so_often(house: House) -> None:
    await house.browser().sign_up("known@example.com")
    prober = house.browser(address="198.51.100.77")

    answers = [(await prober.sign_up("known@example.com")).status_code for _ in range(32)]

    assert answers == [409] * 30 + [429] * 2


async def test_waits_grow_and_end_and_are_forgotten() -> None:
    limit = Limit(free=5, wait=timedelta(seconds=2), longest=timedelta(minutes=15), forget=timedelta(hours=1))

    waits = [limit.wait_after(n).total_seconds() for n in (0, 4, 5, 6, 7, 20, 10_000)]

    assert waits == [0, 0, 2, 4, 8, 900, 900]


async def test_when_the_wait_is_over_the_right_password_is_right_again(house: House) -> None:
    hasty = replace(house.settings, attempts_wait=0.05)
    quick = House(hasty, house.database, iam.Iam(hasty, house.database))
    await quick.browser().sign_up("a@example.com")
    await guess(quick, "a@example.com", 5)

    async with asyncio.timeout(10):
        while (await quick.browser().sign_in("a@example.com")).status_code == 429:
            await asyncio.sleep(0.02)
    await quick.close()
    quick.iam.passwords.close()
