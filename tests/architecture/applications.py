"""Every service's application, built as its process builds it, but with nothing behind it.

A request that is let in finds its database away; one that is refused never gets that far. So who may do what can be
tried for all endpoints in seconds.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from joserfc.jwk import ECKey

from banyan.infra import edge, http
from banyan.infra.http_client import HttpClient
from banyan.infra.identity import Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings

Build = Callable[[Settings, Verifier], FastAPI]

KEY = ECKey.generate_key("P-256")


class OneKey:
    async def find(self, kid: str) -> ECKey | None:
        return KEY if kid == "ours" else None


def nothing() -> Database:
    return Database("postgresql://nobody@/nothing?host=/nonexistent")


def iam(settings: Settings, verifier: Verifier) -> FastAPI:
    from banyan.processes import iam

    database = nothing()
    return iam.application(settings, database, iam.Iam(settings, database), verifier=verifier)


def gateway(settings: Settings, verifier: Verifier) -> FastAPI:
    from banyan.clients.monitor import MonitorClient
    from banyan.gateway.adapters import data_plane, worlds
    from banyan.gateway.adapters.messaging import messaging_of
    from banyan.gateway.adapters.monitoring import Monitoring
    from banyan.gateway.domain.traffic import Traffic
    from banyan.gateway.http.console import Console
    from banyan.gateway.operations.routes import Routes
    from banyan.processes import gateway

    database = nothing()
    routes = Routes(database, data_plane.DataPlane(settings), defaults=worlds.defaults(settings))
    monitoring = Monitoring(MonitorClient(settings))
    messaging = messaging_of(settings)
    # Every session is over, so that its stream ends as soon as it has begun.
    told = Verifier(OneKey(), settings)
    console = Console(settings, routes, Traffic(), database, monitoring, messaging, told, is_over=lambda _: True)
    app = gateway.application(settings, routes, database, console)
    app.state.called = [monitoring, messaging]  # to be closed by whoever has asked
    return app


def learning(settings: Settings, verifier: Verifier) -> FastAPI:
    from banyan.learning.adapters import MediaFolder
    from banyan.learning.domain.media import Signer
    from banyan.learning.http import routers
    from banyan.learning.operations.views import Views

    database = nothing()
    faces = routers(
        database,
        verifier=verifier,
        signer=Signer("secret", timedelta(minutes=5)),
        folder=MediaFolder(settings.data / "media", maker=None),
        views=Views(database),
    )
    return http.application("learning", faces, settings=settings)


def live(settings: Settings, verifier: Verifier) -> FastAPI:
    from banyan.live.domain import Hub, Limits
    from banyan.live.http import router

    hub = Hub(Limits(10, 10, unknown=10), ring=lambda: None)
    return http.application("live", [router(hub, nothing(), settings)], settings=settings)


def web(settings: Settings, verifier: Verifier) -> FastAPI:
    from banyan.processes import web

    away = Path("/nonexistent")
    called = [HttpClient(away, "learning"), HttpClient(away, "iam")]
    app = web.build(settings, learning=called[0], iam=called[1], verifier=verifier)
    app.state.called = called  # to be closed by whoever has asked
    return app


def monitor(settings: Settings, verifier: Verifier) -> FastAPI:
    from banyan.processes import monitor

    return monitor.application(settings, *monitor.parts(settings))


APPLICATIONS: dict[str, Build] = {
    "iam": iam,
    "gateway": gateway,
    "learning": learning,
    "live": live,
    "monitor": monitor,
    "web": web,
}
"""A process that serves anything joins here; `test_every_process_is_here` says so when it does not."""

SERVES_NOTHING = {"old-site", "relay"}


def endpoints(app: FastAPI) -> set[str]:
    """`METHOD /path` of each; ANY where an endpoint takes all methods. HEAD goes with GET."""
    found = set()
    for route in _leaves(app.routes):
        path = route.path
        if path in edge.OF_ITSELF:
            continue
        for method in route.methods or ["ANY"]:
            if method != "HEAD":
                found.add(f"{method} {path}")
    return found


def _leaves(routes: Iterable[Any]) -> Iterator[Any]:
    """Routers stand inside routers, as they were included."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from _leaves(route.original_router.routes)
        else:
            yield route
