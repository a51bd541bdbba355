"""Who is asking, at both sides: cookies and tokens become identity headers, and iam is asked only when it must be."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.gateway.envoy.people import SUZY, People, people

pytestmark = pytest.mark.asyncio(loop_scope="module")

OLD, NEW = "/old", "/courses"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[People]:
    async with people() as running:
        yield running


@pytest.fixture
def crowd(shared: People) -> People:
    shared.iam.renewals.clear()
    shared.iam.mood = "well"
    return shared


@pytest.mark.parametrize("path", [OLD, NEW])
async def test_a_token_cookie_becomes_a_user_at_both_sides(crowd: People, path: str) -> None:
    assert await crowd.who(path, crowd.iam.cookies("session", "fresh", "ref")) == SUZY
    assert crowd.iam.renewals == []
