"""The `monitor` process: looks at all the others, remembers their slowest requests, and tells somebody when it must."""

import asyncio
import contextlib

from fastapi import FastAPI

from banyan.infra import databases, http
from banyan.infra.settings import Settings
from banyan.monitor import jobs
from banyan.monitor.adapters.logs import Logs
from banyan.monitor.adapters.papers import NoteFile, RuleFile
from banyan.monitor.adapters.telling import Teller
from banyan.monitor.domain.picture import Picture
from banyan.monitor.domain.restarts import Restarts
from banyan.monitor.domain.traces import TraceStore
from banyan.monitor.http import collector, router
from banyan.monitor.operations.alerts import Alerts
from banyan.monitor.operations.looking import Lookout
from banyan.monitor.queries import Metrics


async def run(settings: Settings) -> None:
    lookout, alerts = parts(settings)
    listener = http.inherited_or_own_socket(settings, "monitor")
    beside = [
        asyncio.create_task(job)
        for job in (
            jobs.look(lookout, alerts, every=settings.look),
            jobs.look_at_envoy(lookout, every=settings.look),
            jobs.tell(alerts),
        )
    ]
    try:
        await http.serve(application(settings, lookout, alerts), listener)
    finally:
        for task in beside:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await alerts.close()
        await lookout.close()


def parts(settings: Settings) -> tuple[Lookout, Alerts]:
    notes = NoteFile(settings)
    known = notes.load()
    restarts = Restarts(known.counted)
    servers = {name: f"postgres-{server.name}" for server in databases.SERVERS for name in server.databases}
    picture = Picture(servers=servers, memory_limit=settings.memory_limit, restarts=restarts)
    alerts = Alerts(
        settings,
        rules=RuleFile(settings),
        notes=notes,
        known=known.incidents,
        counted=lambda: restarts.counted,
        teller=Teller(settings),
    )
    return Lookout(settings, picture), alerts


def application(settings: Settings, lookout: Lookout, alerts: Alerts) -> FastAPI:
    traces = TraceStore()
    routers = [router(lookout, alerts, traces, Logs(settings.logs), Metrics(settings)), collector(traces)]
    return http.application("monitor", routers, settings=settings)
