"""The control plane's process: route table, console, health. Envoy goes on without it."""

import asyncio
import contextlib

from fastapi import FastAPI

from banyan.clients.monitor import MonitorClient
from banyan.gateway import jobs
from banyan.gateway.adapters import data_plane, worlds
from banyan.gateway.adapters.messaging import messaging_of
from banyan.gateway.adapters.monitoring import Monitoring
from banyan.gateway.adapters.trust import Trust
from banyan.gateway.domain.traffic import Traffic
from banyan.gateway.http import control, health, metrics
from banyan.gateway.http.console import Console
from banyan.gateway.operations.routes import Routes
from banyan.infra import http, postgres
from banyan.infra.http_client import HttpClient
from banyan.infra.identity import Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings

_MONITOR_SECONDS = 1.0  # a page does not wait longer for what is only part of it


async def run(settings: Settings) -> None:
    database = postgres.database(settings, "gateway", size=5)
    plane = data_plane.DataPlane(settings)
    routes = Routes(database, plane, defaults=worlds.defaults(settings))
    admin = HttpClient(settings.socket("envoy-admin"), "envoy", timeout=0.9)
    traffic = Traffic()
    trust = Trust(settings)
    monitoring = Monitoring(MonitorClient(settings, patience=_MONITOR_SECONDS))
    messaging = messaging_of(settings)
    stop = http.stop_signal()
    verifier = Verifier(trust, settings)
    console = Console(settings, routes, traffic, database, monitoring, messaging, verifier, is_over=trust.is_over)
    beside = [
        asyncio.create_task(job)
        for job in (
            jobs.keep_serving(routes),
            jobs.record_traffic(traffic, admin),
            jobs.keep_trust(trust),
            console.watchers.end_after(stop),
            *([jobs.keep_sampling(plane.admin, wanted=settings.traces)] if settings.traces else []),
        )
    ]
    try:
        listener = http.inherited_or_own_socket(settings, "gateway")
        await http.serve(application(settings, routes, database, console), listener, stop=stop)
    finally:
        for task in beside:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await admin.close()
        await trust.close()
        await monitoring.close()
        await messaging.close()
        await database.close()


def application(settings: Settings, routes: Routes, database: Database, console: Console) -> FastAPI:
    return http.application(
        "gateway",
        [
            control.router(routes, database),
            health.router(settings),
            metrics.router(settings, console.guard.check),
            console.router(),
        ],
        settings=settings,
        checks=[routes.ready],
        error_page=console.error_page,
    )
