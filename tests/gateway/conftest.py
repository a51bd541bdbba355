"""A migrated, seeded gateway database, and the route table's operations over a front door that only records."""

import pytest

from banyan.gateway.domain.defaults import default_routes
from banyan.gateway.operations.routes import Routes
from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database
from tests.fakes.front_door import RecordingFrontDoor

DEFAULTS = default_routes(demo=True, other_old_site=False)


@pytest.fixture
def front_door() -> RecordingFrontDoor:
    return RecordingFrontDoor()


@pytest.fixture
async def migrated(gateway_database: Database) -> Database:
    await migrate(gateway_database, "gateway")
    return gateway_database


@pytest.fixture
async def routes(gateway_database: Database, front_door: RecordingFrontDoor) -> Routes:
    table = Routes(gateway_database, front_door, defaults=DEFAULTS)
    await table.reconcile()
    return table
