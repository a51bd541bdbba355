"""A real old site and Banyan before it, once for all journeys of a test process."""

from collections.abc import Iterator

import pytest

from . import front_door, wordpress
from .front_door import FrontDoor
from .wordpress import WordPress


@pytest.fixture(scope="session")
def old_site() -> Iterator[WordPress]:
    with wordpress.running() as site:
        yield site


@pytest.fixture(scope="session")
def door(old_site: WordPress) -> Iterator[FrontDoor]:
    """Banyan before WordPress. Tests put back the routes that they move."""
    with front_door.banyan_up("--legacy", old_site.url) as door:
        yield door
