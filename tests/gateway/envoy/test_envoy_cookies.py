"""Banyan's own cookies are cut out of what the old site sees; every other byte stays."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.envoy.fronts import Front

pytestmark = pytest.mark.asyncio(loop_scope="module")

TABLE = [
    # lines sent, lines the old site sees
    (["a=1; b=2"], ["a=1; b=2"]),
    (["banyan_session=s"], []),
    (["banyan_session=s; banyan_fresh=f"], []),
    (["banyan_session=s;banyan_fresh=f;"], []),
    (["a=1; banyan_session=s; b=2"], ["a=1; b=2"]),
    (["banyan_session=s; a=1"], ["a=1"]),
    (["a=1; banyan_session=s"], ["a=1"]),
    (["a=1;banyan_session=s;b=2"], ["a=1;b=2"]),
    (["a=1;  b=2 ;c ; banyan_locale=ko"], ["a=1;  b=2 ;c "]),
    (["banyan_session=s", "a=1"], ["a=1"]),
    (["a=1", "banyan_session=s; b=2", "c=3"], ["a=1", "b=2", "c=3"]),
    (["a=1", "banyan_session=s"], ["a=1"]),
    (["banyan_session"], []),
    (["banyan_=x"], []),
    (["\tbanyan_session=s; a=1"], ["a=1"]),
    (["a=1;\tbanyan_session=s"], ["a=1"]),
    (["a=1; banyan_session =s"], ["a=1"]),
    (["zbanyan_session=s; a=1"], ["zbanyan_session=s; a=1"]),
    (["banyan=s; a=banyan_session=1"], ["banyan=s; a=banyan_session=1"]),
    (["Banyan_session=theirs"], ["Banyan_session=theirs"]),
    (["a=1;; banyan_session=s; b=2"], ["a=1;; b=2"]),
    (['a="x; banyan_session=s"; b=2'], ['a="x; b=2']),
    (["a==; b=%20+ ,:/?@; banyan_x=1; c"], ["a==; b=%20+ ,:/?@; c"]),
    (["banyan_session=s; PHPSESSID=4e; wp_settings=a%3D1"], ["PHPSESSID=4e; wp_settings=a%3D1"]),
]


@pytest.mark.parametrize(("sent", "seen"), TABLE)
async def test_our_cookies_are_cut_and_the_others_stay(door: Front, sent: list[str], seen: list[str]) -> None:
    answer = await door.get("/old", *(f"Cookie: {line}" for line in sent))

    assert answer.side == "old"
    assert [value.decode() for value in _raw_cookies(door.old.last.head)] == seen


async def test_old_bytes_in_cookies_stay_as_they_are(door: Front) -> None:
    name = "이름=홍길동".encode("cp949")
    await door.send(b"GET /old HTTP/1.1\r\nHost: s\r\nCookie: banyan_session=s; " + name + b"; b=2\r\n\r\n")

    assert _raw_cookies(door.old.last.head) == [name + b"; b=2"]


async def test_the_guarded_path_is_no_way_around(door: Front) -> None:
    await door.get("/courses/../old", "Cookie: banyan_session=s")

    assert _raw_cookies(door.old.last.head) == []


async def test_the_new_side_gets_all_cookies(door: Front) -> None:
    await door.get("/courses", "Cookie: a=1; banyan_session=s", "Cookie: banyan_fresh=1")

    assert _raw_cookies(door.upstreams["web"].last.head) == [b"a=1; banyan_session=s", b"banyan_fresh=1"]


_pair = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", " ", "  "]),
    st.sampled_from(["a", "banyan_session", "banyan_x", "zbanyan_y", "b.c", "banyan"]),
    st.sampled_from(["", "=", "=1", '="q q"', "=x=y"]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.lists(_pair, min_size=1, max_size=5), min_size=1, max_size=4))
async def test_no_mixture_of_cookies_leaks_one_of_ours(door: Front, lines: list[list[str]]) -> None:
    await door.get("/old", *(f"Cookie: {';'.join(pairs)}" for pairs in lines))

    seen = [pair.strip() for line in _raw_cookies(door.old.last.head) for pair in line.decode().split(";")]
    sent = [pair.strip() for pairs in lines for pair in pairs]
    assert [pair for pair in seen if pair] == [pair for pair in sent if pair and not pair.startswith("banyan_")]
    assert b"cookie: \r\n" not in door.old.last.head.lower()


def _raw_cookies(head: bytes) -> list[bytes]:
    lines = head.split(b"\r\n")[1:]
    return [line[len(b"cookie: ") :] for line in lines if line.lower().startswith(b"cookie: ")]
