"""`banyan route ...`: which side answers which requests."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from banyan.cli.options import Data, Json, clear_errors, fail, settings
from banyan.clients.gateway import GatewayClient
from banyan.contracts.gateway import Applied, NewRoute, RouteRow

T = TypeVar("T")

app = typer.Typer(
    help="The route table: which requests the old site answers, and which the new side.", no_args_is_help=True
)

ORDER = (
    "Routes are asked from the top; the first that fits a request answers it. More specific first: a named host"
    " before any; then the path, segment by segment, literal text before {parameter} before *; then a named method"
    " before any; then more query keys before fewer. What fits no route goes to the old site, if there is one."
)

Name = Annotated[str, typer.Argument(help="The route's name, as `banyan route ls` shows it.")]


class Side(StrEnum):
    old = "old"
    new = "new"


class Fate(StrEnum):
    move = "move"
    keep = "keep"
    retire = "retire"


@app.command("ls")
def list_routes(data: Data = None, as_json: Json = False) -> None:
    """List the routes in the order in which the gateway asks them."""
    rows = _ask(data, lambda gateway: gateway.routes())
    if as_json:
        print(_json(rows))
        return
    if not rows:
        print("No routes: everything goes to the old site. Add one: banyan route add NAME PATH --service SERVICE")
        return
    Console().print(_table(rows))
    print(ORDER)


@app.command("show")
def show(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Show one route."""
    rows = _ask(data, lambda gateway: gateway.routes())
    row = next((row for row in rows if row.name == name), None)
    if row is None:
        fail(_unknown(name, rows))
    if as_json:
        print(_json(row))
        return
    asked_before = {other.name: other.order < row.order for other in rows}
    print(f"{row.name}: {row.method} {'' if row.host == '*' else row.host}{_readable(row.path)}{_query(row)}")
    print(f"  answered by   the {row.side} side{_service(row)}")
    print(f"  fate          {row.fate}")
    print(f"  old twin      {'yes' if row.old_twin else 'no, it exists on the new side only'}")
    print(f"  asked         as number {row.order} of {len(rows)}")
    for other in row.overlaps:
        print(f"  overlaps with {other}, which is asked {'before' if asked_before[other] else 'after'} this one")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="a-z, 0-9 and -, for instance course-reviews.")],
    path: Annotated[str, typer.Argument(help="A template: /courses, /courses/{slug} or /learn/*.")],
    method: Annotated[str, typer.Option(help="GET, POST, ...; * is any.")] = "*",
    host: Annotated[str, typer.Option(help="A host name; * is any.")] = "*",
    query: Annotated[str, typer.Option(help="KEY=VALUE&KEY: what the query must have.")] = "",
    fate: Annotated[Fate, typer.Option(help="What is planned for it.")] = Fate.move,
    side: Annotated[Side, typer.Option(help="Who answers it from now on.")] = Side.old,
    service: Annotated[str | None, typer.Option(help="Who answers it on the new side: web, api, ...")] = None,
    old_twin: Annotated[bool, typer.Option(help="Whether the old site answers it, too.")] = True,
    data: Data = None,
) -> None:
    """Add a route."""
    new = NewRoute(
        name=name,
        path=path,
        method=method,
        host=host,
        query=query,
        fate=fate.value,
        side=side.value,
        old_twin=old_twin,
        service=service,
    )

    async def add_and_look(gateway: GatewayClient) -> tuple[Applied | None, list[RouteRow]]:
        return await gateway.add(new), await gateway.routes()

    applied, rows = _ask(data, add_and_look)
    added = next(row for row in rows if row.name == name)
    print(f"Added {name}: {_readable(added.path)}{_query(added)}, answered by the {added.side} side.")
    before = {row.name for row in rows if row.order < added.order}
    for other in added.overlaps:
        print(f"It overlaps with {other}, which is asked {'before' if other in before else 'after'} it.")
    _tell(applied)


@app.command("rm")
def remove(name: Name, data: Data = None) -> None:
    """Remove a route; what fitted only it goes to the old site."""
    applied = _ask(data, lambda gateway: gateway.remove(name))
    print(f"Removed {name}.")
    _tell(applied)


@app.command("set")
def set_side(
    name: Name, side: Annotated[Side, typer.Option(help="Who answers it from now on.")], data: Data = None
) -> None:
    """Have the old site or the new side answer a route; back and forth as often as you like."""
    applied = _ask(data, lambda gateway: gateway.move(name, side=side.value))
    print(f"{name} is answered by the {side.value} side.")
    _tell(applied)


def _ask(data: Path | None, question: Callable[[GatewayClient], Awaitable[T]]) -> T:
    async def ask() -> T:
        gateway = GatewayClient(settings(data))
        try:
            return await question(gateway)
        finally:
            await gateway.close()

    try:
        with clear_errors():
            return asyncio.run(ask())
    except UnicodeEncodeError:
        fail("An argument holds bytes that are no UTF-8; in a path write them percent-encoded, like %FF.", code=2)


def _tell(applied: Applied | None) -> None:
    if applied is None:
        return
    for note in applied.notes:
        print(note)


def _table(rows: list[RouteRow]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("name", no_wrap=True)
    for heading in ("method", "host", "path", "side", "fate", "service", "overlaps"):
        table.add_column(heading, overflow="fold")
    order = {row.name: str(row.order) for row in rows}
    for row in rows:
        side = f"[yellow]○ {row.side}[/]" if row.side == "old" else f"[green]● {row.side}[/]"
        path = _escaped(_readable(row.path) + _query(row))
        overlaps = ", ".join(f"#{order[other]}" for other in row.overlaps)
        cells = (row.name, row.method, row.host, path, side, row.fate, row.service or "-", overlaps)
        table.add_row(str(row.order), *cells)
    return table


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _service(row: RouteRow) -> str:
    return f" ({row.service})" if row.side == "new" else ""


def _query(row: RouteRow) -> str:
    return f"?{row.query}" if row.query else ""


def _readable(path: str) -> str:
    from banyan.gateway.domain import routes

    return routes.readable(path)


def _unknown(name: str, rows: list[RouteRow]) -> str:
    from banyan.gateway.domain import routes

    return routes.RouteUnknown(name, (row.name for row in rows)).detail


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()
