"""`banyan status`: what the supervisor knows of every process, and what monitor knows beside it."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from banyan.cli.options import Data, Json, settings
from banyan.contracts.monitor import Now, ProcessNow
from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.infra.supervisor.state import SupervisorState

_MONITOR_SECONDS = 1.0


def status(data: Data = None, as_json: Json = False) -> None:
    """Show every process: state, since when, restarts; and memory, CPU and lags where monitor answers."""
    told = settings(data)
    running = state.read_living(told)
    seen = _asked(told) if running is not None else None
    if as_json:
        print(_json(running, seen))
    elif running is None:
        print(f"Banyan does not run on {told.data}.")
    else:
        print(f"Banyan {running.version} at {running.url}, process {running.pid}")
        Console().print(_table(running, seen))
        _print_rest(seen)
    if running is None or any(child.state != "ready" for child in running.processes):
        raise typer.Exit(1)


def _asked(told: Settings) -> Now | None:
    """None where monitor does not answer in time."""
    from banyan.clients.monitor import MonitorClient
    from banyan.kit.errors import Refusal

    async def ask() -> Now | None:
        monitor = MonitorClient(told, patience=_MONITOR_SECONDS)
        try:
            with contextlib.suppress(Refusal):
                return await monitor.now()
        finally:
            await monitor.close()
        return None

    return asyncio.run(ask())


def _json(running: SupervisorState | None, seen: Now | None) -> str:
    if running is None:
        return json.dumps({"running": False, "ready": False, "processes": []})
    known: dict[str, Any] = msgspec.to_builtins(running)
    ready = running.ready and all(child.state == "ready" for child in running.processes)
    answer = {"running": True, **known, "ready": ready}
    if seen is not None:
        told = {process.name: process for process in seen.processes}
        for child in answer["processes"]:
            if child["name"] in told:
                found = told[child["name"]]
                child |= {"memory_bytes": found.memory_bytes, "cpu": found.cpu}
                child["version"] = child["version"] or found.version
        answer |= {key: msgspec.to_builtins(getattr(seen, key)) for key in ("lags", "disk", "alerts")}
    return json.dumps(answer, ensure_ascii=False, indent=2)


def _table(running: SupervisorState, seen: Now | None) -> Table:
    table = Table("process", "state", "for", "pid", "restarts", box=None)
    if seen is not None:
        table.add_column("memory", justify="right")
        table.add_column("cpu", justify="right")
        table.add_column("version")
    table.add_column("detail")
    told = {process.name: process for process in seen.processes} if seen is not None else {}
    now = datetime.now(UTC)
    for child in running.processes:
        age = f"{(now - child.since).total_seconds():.0f} s"
        cells = [child.name, child.state, age, str(child.pid or "-"), str(child.restarts)]
        if seen is not None:
            cells += _figures(told.get(child.name), child.version)
        table.add_row(*cells, escape(child.detail))
    return table


def _figures(found: ProcessNow | None, version: str) -> list[str]:
    memory = f"{found.memory_bytes / 1e6:.0f} MB" if found and found.memory_bytes is not None else "-"
    cpu = f"{100 * found.cpu:.0f} %" if found and found.cpu is not None else "-"
    return [memory, cpu, version or (found.version if found else "") or "-"]


def _print_rest(seen: Now | None) -> None:
    if seen is None:
        print("monitor does not answer, so there is no more to tell than this.")
        return
    for lag in seen.lags:
        if lag.waiting:
            whose = f"outbox of {lag.source}" if lag.consumer == "relay" else lag.consumer
            print(f"{whose}: {lag.waiting} events wait, the oldest for {lag.oldest_seconds:.0f} s")
    for alert in seen.alerts:
        if alert.state == "firing":
            print(f"ALERT    {alert.subject}: {alert.rule}")
