"""`banyan fault ...`: make something go wrong on purpose, in the demo."""

import asyncio
import json
import re
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from banyan.cli.options import Data, Json, clear_errors, fail, settings
from banyan.infra.faults import kinds
from banyan.infra.faults.kinds import Ailment
from banyan.infra.settings import Settings

app = typer.Typer(help="Make something go wrong on purpose. In the demo only.", no_args_is_help=True)

_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0}


def seconds(text: str) -> float:
    """`30s`, `500ms`, `2m` or a number of seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|)", text.strip())
    if not found:
        raise typer.BadParameter("a time is a number with ms, s or m behind it, such as 30s")
    return float(found[1]) * _UNITS[found[2]]


@app.command("add")
def add(
    process: Annotated[str, typer.Argument(help="A name from `banyan status`.")],
    kind: Annotated[Ailment, typer.Argument(help="What goes wrong.")],
    lasts: Annotated[str | None, typer.Option("--for", help="How long.", show_default="30s; a crash once")] = None,
    percent: Annotated[float, typer.Option(help="errors: of how many requests or sessions.")] = 50.0,
    delay: Annotated[str, typer.Option(help="slow: how long a request waits.")] = "500ms",
    workers: Annotated[int, typer.Option(help="cpu: threads, sessions or programs that burn.")] = 2,
    data: Data = None,
) -> None:
    """Make a fault. It ends by itself after its time, and with the process that it befalls."""
    usual = 0.0 if kind is Ailment.crash else kinds.USUAL_SECONDS
    made = _ask(
        settings(data),
        "fault-add",
        process=process,
        kind=kind,
        seconds=usual if lasts is None else seconds(lasts),
        percent=percent,
        delay=seconds(delay),
        workers=workers,
    )["fault"]
    lasting = f" for {made['seconds']:g} s" if made["seconds"] else ""
    print(f"{made['name']}{lasting}: {kinds.MEANS[kind]}.")


@app.command("ls")
def list_faults(data: Data = None, as_json: Json = False) -> None:
    """List the faults that last."""
    items: list[dict[str, Any]] = _ask(settings(data), "fault-list")["items"]
    if as_json:
        print(json.dumps({"items": items, "next": None}, indent=2))
        return
    if not items:
        print("Nothing is wrong on purpose.")
        return
    table = Table("fault", "process", "kind", "for", "since", box=None)
    for item in items:
        table.add_row(item["name"], item["process"], item["kind"], f"{item['seconds']:g} s", item["since"])
    Console().print(table)


@app.command("rm")
def end(
    name: Annotated[str, typer.Argument(help="A name from `banyan fault ls`, a process, or `all`.")],
    data: Data = None,
) -> None:
    """End a fault, all faults of a process, or all."""
    ended = _ask(settings(data), "fault-end", name="" if name == "all" else name)["ended"]
    print(f"Ended: {', '.join(ended)}." if ended else "Nothing was wrong on purpose.")


def _ask(told: Settings, wish: str, **details: Any) -> dict[str, Any]:
    from banyan.infra.supervisor import control, state

    running = state.read_living(told)
    if running is not None and not running.demo:
        fail(str(kinds.FaultsForbidden()))
    with clear_errors(TimeoutError):
        return asyncio.run(control.ask(told, wish, **details))
