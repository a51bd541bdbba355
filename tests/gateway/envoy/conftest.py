"""One Envoy for the tests of a file that only look."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.gateway.envoy.fronts import Front, front


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door() -> AsyncIterator[Front]:
    """The demo's routes (`courses`, `course`, `api` on the new side) before an old site on a Unix socket."""
    async with front(legacy="demo") as running:
        yield running
