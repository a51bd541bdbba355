"""iam away, slow or changing: who is signed in stays so, who is out is out, and nobody else notices."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from banyan.gateway.domain import identities
from tests.gateway.envoy.fronts import Answer, read_answer
from tests.gateway.envoy.people import MINHO, SUZY, Iam, People, asker, new_key, new_session, people
from tests.gateway.envoy.upstreams import Upstream, polite, speaking

REVOKED_WITHIN = 5.0


@pytest.fixture
async def crowd() -> AsyncIterator[People]:
    async with people() as running:
        yield running


async def timed(crowd: People, *headers: str) -> tuple[str, float]:
    started = time.monotonic()
    who = await crowd.who("/old", *headers)
    return who, time.monotonic() - started


async def test_an_iam_that_fails_costs_nobody_a_live_token(crowd: People) -> None:
    crowd.iam.mood = "503"

    for _ in range(5):
        assert await crowd.who("/old", crowd.iam.cookies("session", "ref")) == SUZY
    assert await crowd.who("/old", crowd.iam.cookies("session", "ref", token=crowd.iam.token(life=-60))) == ""
    assert await crowd.who("/old") == ""


async def test_an_iam_that_is_not_there_costs_nobody_a_live_token(crowd: People) -> None:
    socket = crowd.door.settings.socket("iam")
    moved = socket.with_name("away")
    socket.rename(moved)
    crowd.door.upstreams["iam"].drop()

    for path in ("/old", "/courses"):
        assert await crowd.who(path, crowd.iam.cookies("session", "ref")) == SUZY
        assert await crowd.who(path, crowd.iam.cookies("ref")) == ""
    assert (await crowd.door.get("/api/v1/me")).status == 502

    moved.rename(socket)
    async with asyncio.timeout(8):
        while await crowd.who("/old", crowd.iam.cookies("ref")) != SUZY:
            await asyncio.sleep(0.1)


async def test_an_iam_that_hangs_keeps_only_three_waiting(crowd: People) -> None:
    crowd.iam.mood = "silent"
    cookies = crowd.iam.cookies("session", "ref")

    waits = [await timed(crowd, cookies) for _ in range(12)]

    assert [who for who, _ in waits] == [SUZY] * 12
    assert all(seconds < 0.6 for _, seconds in waits)
    assert sum(seconds > 0.25 for _, seconds in waits) <= 3
    who, seconds = await timed(crowd, crowd.iam.cookies("session", "fresh", "ref"))
    assert (who, seconds < 0.1) == (SUZY, True)
    assert (await timed(crowd))[1] < 0.1

    crowd.iam.mood = "well"
    crowd.door.upstreams["iam"].drop()
    async with asyncio.timeout(8):
        while await crowd.who("/old", crowd.iam.cookies("ref")) != SUZY:
            await asyncio.sleep(0.1)


async def test_keys_and_ended_sessions_outlive_iam_and_a_new_envoy(crowd: People) -> None:
    out = new_session()
    crowd.iam.ended = [out]
    over = crowd.iam.cookies("session", "fresh", token=crowd.iam.token(sid=out))
    await until_nobody(crowd, over)
    crowd.iam.mood = "503"

    await crowd.door.stop()
    await crowd.door.start()

    assert await crowd.who("/old", crowd.iam.cookies("session", "fresh")) == SUZY
    assert await crowd.who("/old", over) == ""


async def test_envoy_starts_before_iam_ever_answered() -> None:
    async with people(iam=Iam(mood="503")) as crowd:
        assert await crowd.who("/old", crowd.iam.cookies("session", "fresh")) == ""
        assert await crowd.who("/courses") == ""

        crowd.iam.mood = "well"
        async with asyncio.timeout(REVOKED_WITHIN):
            while await crowd.who("/old", crowd.iam.cookies("session", "fresh")) != SUZY:
                await asyncio.sleep(0.05)


NO_SESSIONS = b'{"items": []}'
NONSENSE = [
    ({"keys": []}, NO_SESSIONS),
    ({"keys": [{"kty": "oct", "k": "AAAA", "kid": "x"}]}, NO_SESSIONS),
    ({"keys": [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "x"}]}, NO_SESSIONS),
    ({"keys": "none"}, NO_SESSIONS),
    ([], b"<html>"),
    (None, b'{"items": [".*"]}'),
]


@pytest.mark.parametrize(("jwks", "ended"), NONSENSE)
async def test_nonsense_from_iam_changes_nothing(jwks: object, ended: bytes) -> None:
    iam = Iam(ended=[new_session()])
    async with people(iam=iam, kept=False) as crowd:
        keys = json.dumps({"jwks": json.dumps(jwks)}).encode()

        async def liar(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                body = keys if (await upstream.receive(reader)).path == b"/internal/keys" else ended
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()

        with speaking(crowd.door.upstreams["iam"], liar):
            await crowd.trust.keep()

        assert await crowd.who("/old", crowd.iam.cookies("session", "fresh")) == SUZY


@pytest.mark.parametrize("injected", [".*", "a|.*", "", "A", "x" * 37, "0" * 65, "a\n"])
def test_an_id_that_is_none_never_becomes_part_of_a_pattern(injected: str) -> None:
    with pytest.raises(identities.SessionIdRefused):
        identities.ended([new_session(), injected])


async def test_an_ended_session_is_out_on_an_open_connection(crowd: People) -> None:
    mine, other = new_session(), new_session()
    crowd.iam.ended = [new_session() for _ in range(3000)]
    cookies = crowd.iam.cookies("session", "fresh", token=crowd.iam.token(sid=mine))
    others = crowd.iam.cookies("session", "fresh", token=crowd.iam.token(MINHO, sid=other))
    reader, writer = await crowd.door.connect()

    async def ask(given: str) -> tuple[str, Answer]:
        writer.write(f"GET /courses HTTP/1.1\r\nHost: s\r\n{given}\r\n\r\n".encode())
        answer = await read_answer(reader)
        return asker(crowd.door.upstreams["web"].last), answer

    assert (await ask(cookies))[0] == SUZY
    crowd.iam.ended = [*crowd.iam.ended, mine]
    started = time.monotonic()
    while (found := await ask(cookies))[0]:
        assert time.monotonic() - started < REVOKED_WITHIN
        await asyncio.sleep(0.02)

    assert found[1].values("set-cookie") == ["banyan_session=; Path=/; Max-Age=0"]
    assert (await ask(others))[0] == MINHO
    assert await crowd.who("/old", cookies) == ""
    writer.close()


async def test_a_new_sign_in_is_not_undone_by_the_ended_session(crowd: People) -> None:
    mine = new_session()
    crowd.iam.ended = [mine]
    cookies = crowd.iam.cookies("session", "fresh", token=crowd.iam.token(sid=mine))
    await until_nobody(crowd, cookies)
    web = crowd.door.upstreams["web"]
    web.answer = b"HTTP/1.1 303 See Other\r\nSet-Cookie: banyan_session=new; Path=/\r\nContent-Length: 0\r\n\r\n"

    answer = await crowd.door.get("/login", cookies, "Content-Length: 0", method="POST")

    assert answer.values("set-cookie") == ["banyan_session=new; Path=/"]


async def test_keys_change_and_nobody_is_anonymous_for_a_moment(crowd: People) -> None:
    first = crowd.iam.keys[0]
    stop, seen = asyncio.Event(), list[str]()
    crowd.door.old.talk = mirror
    browsing = [asyncio.create_task(_browse(crowd, stop, seen)) for _ in range(4)]
    await asyncio.sleep(0.3)

    second = new_key()
    crowd.iam.keys = [second, first]  # published, not yet used
    await asyncio.sleep(1.5)
    crowd.iam.keys = [first, second]
    await asyncio.sleep(0.5)
    stop.set()
    await asyncio.gather(*browsing)
    crowd.door.old.talk = polite
    crowd.door.old.drop()

    assert len(seen) > 200
    assert set(seen) == {SUZY}

    crowd.iam.keys = [second]
    await until_nobody(crowd, crowd.iam.cookies("session", "fresh", token=crowd.iam.token(key=first)))
    assert await crowd.who("/old", crowd.iam.cookies("session", "fresh")) == SUZY


async def mirror(upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers who it was told is asking."""
    while True:
        who = asker(await upstream.receive(reader)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(who), who))
        await writer.drain()


async def _browse(crowd: People, stop: asyncio.Event, seen: list[str]) -> None:
    reader, writer = await crowd.door.connect()
    while not stop.is_set():
        cookies = crowd.iam.cookies("session", "fresh")
        writer.write(f"GET /who HTTP/1.1\r\nHost: s\r\n{cookies}\r\n\r\n".encode())
        answer = await read_answer(reader)
        seen.append(answer.body.decode())
    writer.close()


async def until_nobody(crowd: People, cookies: str) -> None:
    async with asyncio.timeout(REVOKED_WITHIN):
        while await crowd.who("/old", cookies):
            await asyncio.sleep(0.05)
