"""A migrated, seeded gateway database, and the route table's operations over a front door that only records."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from banyan.clients.monitor import MonitorClient
from banyan.contracts.identity import SESSION_HEADER
from banyan.gateway.adapters.messaging import messaging_of
from banyan.gateway.adapters.monitoring import Monitoring
from banyan.gateway.domain.defaults import default_routes
from banyan.gateway.domain.traffic import Traffic
from banyan.gateway.http.console import Console
from banyan.gateway.operations.routes import Routes
from banyan.infra.identity import Verifier
from banyan.infra.migrations import migrate
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.infra.supervisor.state import ChildState, SupervisorState
from banyan.processes import gateway
from tests.conftest import Postgres
from tests.fakes.front_door import RecordingFrontDoor
from tests.gateway import monitors
from tests.gateway.envoy.people import Iam
from tests.gateway.monitors import Monitor
from tests.gateway.planes import Plane, control_plane

_FEW = ("courses", "course", "api")
DEFAULTS = tuple(route for route in default_routes(demo=True, other_old_site=False) if route.name in _FEW)


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


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings.read({"BANYAN_DATA": str(tmp_path / "data"), "BANYAN_DEMO": "1"})
    found.make_folders()
    return found


@pytest.fixture
def iam() -> Iam:
    return Iam()


def passed_on(iam: Iam) -> dict[str, str]:
    """What Envoy adds to the request of somebody with a token of this iam."""
    return {SESSION_HEADER: iam.session}


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
async def monitor(settings: Settings) -> AsyncIterator[Monitor]:
    """A monitor on its socket that knows the demo's processes, and nothing of what they do."""
    async with monitors.answering(settings, monitors.quiet(*monitors.EVERYBODY)) as found:
        yield found


@pytest.fixture
async def console(
    settings: Settings, routes: Routes, traffic: Traffic, gateway_database: Database, iam: Iam
) -> AsyncIterator[Console]:
    monitoring = Monitoring(MonitorClient(settings, patience=1.0))
    messaging = messaging_of(settings)
    yield Console(
        settings,
        routes,
        traffic,
        gateway_database,
        monitoring,
        messaging,
        Verifier(iam, settings),
        is_over=lambda session: session in iam.ended,
    )
    await monitoring.close()
    await messaging.close()


@pytest.fixture
async def browser(
    settings: Settings, routes: Routes, gateway_database: Database, iam: Iam, console: Console, monitor: Monitor
) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's browser, as Envoy would pass it on."""
    app = gateway.application(settings, routes, gateway_database, console)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://127.0.0.1:8000",
        headers={"accept": "text/html", "x-forwarded-for": "127.0.0.1", "accept-language": "en", **passed_on(iam)},
        cookies={"banyan_session": iam.token(roles="operator")},
    ) as client:
        yield client


@pytest.fixture
async def plane(postgres: Postgres) -> AsyncIterator[Plane]:
    """The control plane as it runs, with the default routes of the demo served."""
    name = await postgres.make_database()
    async with (
        control_plane(postgres.url(name)) as running,
        monitors.answering(running.door.settings, monitors.busy()) as running.monitor,
    ):
        supervise(running.door.settings, children(envoy="ready", gateway="ready", postgres_front="ready"))
        async with asyncio.timeout(30):
            while (await running.banyan("route", "ls"))[0] != 0:  # it may answer before its tables are made
                await asyncio.sleep(0.1)
        yield running


def children(**states: str) -> list[ChildState]:
    """Processes by name (`_` for `-`) and state; the kind is told by the name."""
    found = []
    for word, process_state in states.items():
        name = word.replace("_", "-")
        kind = "postgres" if name.startswith("postgres") else "envoy" if name == "envoy" else "process"
        found.append(ChildState(name=name, kind=kind, state=process_state, since=datetime.now(UTC), pid=1))
    return found


def supervise(settings: Settings, processes: list[ChildState], *, pid: int | None = None, ready: bool = True) -> None:
    """Write what a supervisor would; it is this test's own process unless another is named."""
    living = pid or os.getpid()
    state.write(
        settings,
        SupervisorState(
            pid=living,
            ticks=state.start_ticks(living),
            url=settings.url,
            version="0.1.0",
            started_at=datetime.now(UTC),
            ready=ready,
            processes=processes,
        ),
    )
