"""The control plane's process: route table, console, health. Envoy goes on without it."""

import asyncio
import contextlib

from fastapi import FastAPI

from banyan.gateway import jobs
from banyan.gateway.adapters import data_plane, worlds
from banyan.gateway.adapters.trust import Trust
from banyan.gateway.domain.traffic import Traffic
from banyan.gateway.http import control, health
from banyan.gateway.http.console import Console
from banyan.gateway.operations.routes import Routes
from banyan.infra import http, postgres
from banyan.infra.http_client import HttpClient
from banyan.infra.identity import Keys, Verifier
from banyan.infra.postgres import Database
from banyan.infra.settings import Settings


async def run(settings: Settings) -> None:
    database = postgres.database(settings, "gateway", size=5)
    routes = Routes(database, data_plane.DataPlane(settings), defaults=worlds.defaults(settings))
    admin = HttpClient(settings.socket("envoy-admin"), "envoy", timeout=0.9)
    traffic = Traffic()
    trust = Trust(settings)
    beside = [
        asyncio.create_task(job)
        for job in (jobs.keep_serving(routes), jobs.record_traffic(traffic, admin), jobs.keep_trust(trust))
    ]
    try:
        listener = http.inherited_or_own_socket(settings, "gateway")
        await http.serve(application(settings, routes, traffic, database, trust), listener)
    finally:
        for task in beside:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await admin.close()
        await trust.close()
        await database.close()


def application(settings: Settings, routes: Routes, traffic: Traffic, database: Database, keys: Keys) -> FastAPI:
    console = Console(settings, routes, traffic, database, Verifier(keys, settings))
    return http.application(
        "gateway",
        [control.router(routes, database), health.router(settings), console.router()],
        settings=settings,
        checks=[routes.ready],
        error_page=console.error_page,
    )
