"""Hashes of other systems, and what a check costs."""

import asyncio
import unicodedata
from collections.abc import Iterator

import pytest

from banyan.iam.adapters.passwords import Passwords
from banyan.iam.domain import TooBusy


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(threads=2, waiting=4)
    yield made
    made.close()


HORSE = "correct horse battery"

# Made by PHP 8.2 with WordPress's own class, with password_hash(), and as WordPress 6.8 does.
OLD = [
    ("한글 비밀번호 1", "$P$BPLRZnjX4nTZKDatqrKBbE3YAOGT4B."),
    (HORSE, "$P$BTXV9dAZdjOqbDcb5UQhdkcFpR6Ngf0"),
    (HORSE, "$2y$05$xfwXqo9W2ph2wb6oGDQCNuIbYmL7rQEwG/ShX/BtqK/A543NMtOc2"),
    ("가나다" * 20, "$2y$05$pEJ/MmPnLMgTkpEZqeWpIuVJjBsK0M.AMclzq0jjFkI8QoFkYH95i"),
    (HORSE, "$wp$2y$05$M0XiLnR1Y.n4EE9ZzrVQNuESqOM7eecJ6desib0nVl7WW36R2UagK"),
    (" 한글 비밀번호 1 ", "$wp$2y$05$rwX2hOO3N4SsACBa3q42JOPERvtPJciNhiVBDkJ2nT.XOGNXLszKu"),
    ("x" * 100, "$wp$2y$05$wymKc65/lCfR2/oFuxNSWebAsWp5Koo2fLd2.25x7IQRZ3jWMt6Xq"),
]


@pytest.mark.parametrize(("password", "known"), OLD)
async def test_an_old_hash_fits_once_and_is_replaced(passwords: Passwords, password: str, known: str) -> None:
    fits, new = await passwords.verify(password, known)

    assert fits
    assert new is not None
    assert new.startswith("$argon2id$")
    assert await passwords.verify(password, new) == (True, None)
    assert await passwords.verify(password + "x", new) == (False, None)


@pytest.mark.parametrize("known", [known for _, known in OLD])
@pytest.mark.parametrize("wrong", ["", "x", "correct horse batterz", "\x00", "correct horse battery\x00", "\ud800"])
async def test_another_password_fits_none(passwords: Passwords, known: str, wrong: str) -> None:
    assert await passwords.verify(wrong, known) == (False, None)


@pytest.mark.parametrize(
    "known", ["", "*", "!", "$P$", "$P$Bshort", "$2y$", "$wp$2y$10$x", "$argon2id$x", "plain", "$1$a$b"]
)
async def test_what_is_no_hash_fits_nothing(passwords: Passwords, known: str) -> None:
    for given in ("", known, "plain"):
        assert await passwords.verify(given, known) == (False, None)


async def test_hangul_fits_whichever_keyboard_typed_it(passwords: Passwords) -> None:
    known = await passwords.hash(unicodedata.normalize("NFD", "비밀번호입니다"))

    assert (await passwords.verify(unicodedata.normalize("NFC", "비밀번호입니다"), known))[0]


async def test_every_check_costs_one_argon2id_whoever_is_asked_about(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    work: list[str] = []
    real = passwords._argon2

    class Counting:
        def hash(self, password: bytes) -> str:
            work.append("argon2id")
            return real.hash(password)

        def verify(self, password: bytes, known: str) -> bool:
            work.append("argon2id")
            return real.verify(password, known)

        def check_needs_rehash(self, known: str) -> bool:
            return real.check_needs_rehash(known)

    argon2 = await passwords.hash(HORSE)
    monkeypatch.setattr(passwords, "_argon2", Counting())

    for given, known in [
        ("x", None),
        ("x", argon2),
        (HORSE, argon2),
        ("x", OLD[1][1]),
        OLD[1],
        ("x", ""),
        ("x", OLD[4][1]),
    ]:
        work.clear()
        await passwords.verify(given, known)
        assert work == ["argon2id"], known


async def test_more_than_can_wait_are_refused_at_once_and_the_loop_goes_on(passwords: Passwords) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.001)
            beats += 1

    beating = asyncio.create_task(beat())
    results = await asyncio.gather(*(passwords.verify("x", None) for _ in range(30)), return_exceptions=True)
    beating.cancel()

    busy = [result for result in results if isinstance(result, TooBusy)]
    assert len(busy) == 24
    assert busy[0].retry_after == 1
    assert beats > 10
    assert passwords.taken == 0


async def test_who_goes_away_gives_the_seat_back_only_when_the_work_is_done(passwords: Passwords) -> None:
    tasks = [asyncio.create_task(passwords.verify("x", None)) for _ in range(6)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    with pytest.raises(TooBusy):
        await passwords.verify("x", None)
    async with asyncio.timeout(10):
        while passwords.taken:
            await asyncio.sleep(0.01)
    assert await passwords.verify("x", None) == (False, None)
