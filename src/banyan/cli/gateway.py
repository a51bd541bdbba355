"""`banyan gateway ...`: what Envoy would be told, and the way back when everything else is down."""

import asyncio
import time
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from banyan.cli.options import Data, Json, clear_errors, fail, settings
from banyan.clients.gateway import GatewayClient
from banyan.contracts.gateway import Plan
from banyan.infra.settings import SettingError

app = typer.Typer(help="The front door itself.", no_args_is_help=True)

_SIGNS = {"add": "+", "remove": "-", "change": "~"}


class Switch(StrEnum):
    on = "on"
    off = "off"
    status = "status"


@app.command("plan")
def plan(data: Data = None, as_json: Json = False) -> None:
    """Show what would change in Envoy if the route table were applied now."""

    async def ask() -> Plan:
        gateway = GatewayClient(settings(data))
        try:
            return await gateway.plan()
        finally:
            await gateway.close()

    with clear_errors():
        found = asyncio.run(ask())
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    for change in found.changes:
        print(f"{_SIGNS[change.action]} {change.kind} {change.name}{f'  {change.detail}' if change.detail else ''}")
    if not found.changes:
        print(f"Nothing would change: Envoy serves the route table (version {found.version}).")
    if found.kill_switch:
        print("The kill switch is on: every route that the old site has is answered there.")


@app.command("kill-switch")
def kill_switch(
    switch: Annotated[Switch, typer.Argument(help="on, off or status.")] = Switch.status, data: Data = None
) -> None:
    """Send every route that the old site has to the old site, at once, and keep it so; needs nothing but Envoy."""
    from banyan.gateway.adapters import envoy
    from banyan.gateway.adapters.data_plane import DataPlane
    from banyan.gateway.adapters.files import Files

    told = settings(data)
    if not envoy.folder(told).is_dir():
        fail(f"{told.data} has no gateway files; it is not the data folder of a Banyan that was started.")
    data_plane = DataPlane(told)
    with clear_errors(SettingError):
        if switch is Switch.status:
            print(f"The kill switch is {'on' if data_plane.kill_switch_is_on() else 'off'}.")
            return
        started = time.monotonic()
        applied = asyncio.run(data_plane.kill_switch(switch is Switch.on))
        milliseconds = (time.monotonic() - started) * 1000
        served = Files(envoy.folder(told)).load()
    moved = sorted(route.name for route in served.routes if route.side == "new" and route.old_twin) if served else []
    print(f"The kill switch is {switch.value}, after {milliseconds:.0f} ms.")
    if moved:
        print(f"Now on the {'old site' if switch is Switch.on else 'new side'}: {', '.join(moved)}.")
    for note in applied.notes:
        print(note)
