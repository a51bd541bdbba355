"""`banyan alert ...`: what is wrong just now, when somebody is told, and whether that arrives."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from banyan.cli.options import Data, Json, clear_errors, fail, settings
from banyan.clients.monitor import MonitorClient
from banyan.contracts.monitor import Alert, AlertPage
from banyan.infra.http_client import ServiceAway

T = TypeVar("T")

app = typer.Typer(help="Alerts: what is wrong, and who is told of it.", no_args_is_help=True)


@app.command("ls")
def list_alerts(data: Data = None, as_json: Json = False) -> None:
    """List what fires, what may soon, and what was over in the last quarter of an hour."""
    page = _ask(data, lambda monitor: monitor.alerts())
    if as_json:
        print(_json(page))
    elif not page.items:
        print("All is well.")
    else:
        Console().print(_table(page.items))
        for alert in page.items:
            for fault in alert.untold:
                print(f"NOT TOLD {alert.subject}, {alert.rule}: {fault}")
    _tell_faults(page)


@app.command("rules")
def rules(data: Data = None, as_json: Json = False) -> None:
    """Show the rules, and what is wrong with those that cannot be used."""
    page = _ask(data, lambda monitor: monitor.alerts())
    if as_json:
        print(_json({"rules": page.rules, "faults": page.faults}))
    else:
        for rule in page.rules:
            print(rule)
    _tell_faults(page)
    if page.faults:
        raise typer.Exit(1)


@app.command("test")
def try_all(data: Data = None, as_json: Json = False) -> None:
    """Tell everybody whom the rules name, as a trial."""
    trial = _ask(data, lambda monitor: monitor.try_alerts())
    if as_json:
        print(_json(trial))
    else:
        if not trial.items:
            print(
                "The rules name nobody. `banyan alert rules` shows them; the file is alerts.rules in the data folder."
            )
        for told in trial.items:
            print(f"{told.recipient}: {told.fault or 'told'}")
    if any(told.fault for told in trial.items):
        raise typer.Exit(1)


def _ask(data: Path | None, question: Callable[[MonitorClient], Awaitable[T]]) -> T:
    async def ask() -> T:
        monitor = MonitorClient(settings(data))
        try:
            return await question(monitor)
        finally:
            await monitor.close()

    with clear_errors():
        try:
            return asyncio.run(ask())
        except ServiceAway:
            fail("monitor does not answer: see `banyan status`, and if nothing runs, `banyan up`.")


def _tell_faults(page: AlertPage) -> None:
    for fault in page.faults:
        print(f"WRONG    {fault}")


def _table(alerts: list[Alert]) -> Table:
    table = Table("state", "subject", "rule", "value", "for", "told", box=None)
    now = datetime.now(UTC)
    for alert in alerts:
        seconds = ((alert.over_at or now) - alert.since).total_seconds()
        told = ", ".join(alert.told) or "-"
        table.add_row(
            alert.state, escape(alert.subject), escape(alert.rule), f"{alert.value:g}", f"{seconds:.0f} s", escape(told)
        )
    return table


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()
