"""`banyan db ...`: the embedded database servers and their replicas."""

import asyncio
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from banyan.cli.options import Data, Json, clear_errors, fail, settings
from banyan.infra.settings import Settings

app = typer.Typer(help="The database servers that Banyan runs itself, and their replicas.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="front, core or aside, as `banyan db ls` shows them.")]

_LOOK_EVERY = 0.25
_PROMOTE_SECONDS = 120.0


@app.command("ls")
def list_servers(data: Data = None, as_json: Json = False) -> None:
    """Show the servers, what is in them, and how their replicas stand."""
    told = settings(data)
    with clear_errors():
        servers = asyncio.run(_servers(told))
    if as_json:
        print(json.dumps(servers, ensure_ascii=False, indent=2))
        return
    table = Table("server", "databases", "state", "replica", "how", "behind", "", box=None)
    for server in servers:
        table.add_row(*_cells(server))
    Console().print(table)


@app.command("replicate")
def replicate(
    server: Name,
    synchronous: Annotated[
        bool | None,
        typer.Option(
            "--synchronous/--asynchronous",
            help="Whether a write waits until the replica has it, too. A replica that is there already is changed.",
            show_default="asynchronous",
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Have a second server follow one, on this machine; BANYAN_REPLICA_FOLDER says on which disk."""
    with clear_errors():
        asyncio.run(_replicate(settings(data), server, synchronous))


@app.command("promote")
def promote(
    server: Name,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Even if the replica is known to lack much of what was written.")
    ] = False,
    data: Data = None,
) -> None:
    """Put a server's replica in its place, for good: after the loss of the server, or while it runs."""
    with clear_errors():
        outcome = asyncio.run(_ask(settings(data), "promote", server, accept_loss=accept_loss))
    for line in _told(server, outcome):
        print(line)


@app.command("unreplicate")
def unreplicate(server: Name, data: Data = None) -> None:
    """Remove a server's replica; nothing waits for it any more. Also cuts off a copy that is being made."""
    with clear_errors():
        asyncio.run(_ask(settings(data), "unreplicate", server))
    print(f"{server} has no replica any more.")


async def _ask(told: Settings, wish: str, server: str, **details: object) -> dict[str, Any]:
    from banyan.infra.supervisor import control

    try:
        return await control.ask(told, wish, within=_PROMOTE_SECONDS, server=server, **details)
    except TimeoutError:
        fail(f"No answer within {_PROMOTE_SECONDS:.0f} s; it goes on, and `banyan db ls` shows how far it is.")


async def _servers(told: Settings) -> list[dict[str, Any]]:
    from banyan.infra.supervisor import control

    try:
        servers: list[dict[str, Any]] = (await control.ask(told, "servers"))["servers"]
    except control.NotSupervised:
        return _at_rest(told)
    except TimeoutError:
        fail("Banyan does not answer just now; `banyan status` may tell why.")
    return servers


def _at_rest(told: Settings) -> list[dict[str, Any]]:
    """What the files tell while nothing runs."""
    import msgspec

    from banyan.infra import databases
    from banyan.infra.replicas import folders
    from banyan.infra.replicas.orders import ServerNow

    return [
        msgspec.to_builtins(
            ServerNow(
                name=server.name,
                databases=list(server.databases),
                ours=not all(map(databases.foreign_url, server.databases)),
                state="stopped",
                replica="stopped" if folders.exists(told, server) else None,
                wished_synchronous=folders.is_wished_synchronous(told, server),
                busy="is being promoted" if folders.order(told, server) else "",
            )
        )
        for server in databases.SERVERS
    ]


async def _replicate(told: Settings, name: str, synchronous: bool | None) -> None:
    await _ask(told, "replicate", name, synchronous=synchronous)
    console = Console()
    with console.status(f"Copying {name} ...") as line:
        shown = ""
        while True:
            server = next(server for server in await _servers(told) if server["name"] == name)
            copying = server["copying"]
            if copying is not None and copying["fault"]:
                fail(copying["fault"])
            if copying is None and server["replica"] == "ready" and _is_as_wished(server):
                break
            if copying is None and not server["busy"] and server["replica"] is None:
                fail(f"The copy of {name} was cut off.")
            words = _progress(server)
            if words != shown and not console.is_terminal:
                print(words, flush=True)
            line.update(words)
            shown = words
            await asyncio.sleep(_LOOK_EVERY)
    how = "synchronously: a write is confirmed when both have it" if server["wished_synchronous"] else "a moment behind"
    print(f"{name} has a replica that follows it, {how}.")


def _is_as_wished(server: dict[str, Any]) -> bool:
    look = server["look"]
    return look is not None and look["streaming"] and look["synchronous"] == server["wished_synchronous"]


def _progress(server: dict[str, Any]) -> str:
    copying = server["copying"]
    if copying is None:
        return f"Starting the replica of {server['name']} ... {server['detail']}".rstrip()
    if not copying["total"]:
        return f"Copying {server['name']}: {copying['phase']}"
    share = min(1.0, copying["done"] / copying["total"])
    return f"Copying {server['name']}: {share:.0%} of {copying['total'] / 1_048_576:,.0f} MB"


def _told(name: str, outcome: dict[str, Any]) -> list[str]:
    lines = [
        f"What was the replica of {name} is {name} now (timeline {outcome['timeline']}). "
        f"That took {outcome['seconds']:.1f} s.",
        _loss(outcome),
    ]
    if outcome["republished"] is not None:
        lines.append(f"So {outcome['republished']} recent events were published again; consumers know what they had.")
    if outcome["fenced"]:
        lines.append(f"No server starts on the old folder any more: {outcome['fenced']}")
    lines.append(f"{name} has no replica now. Make one: banyan db replicate {name}")
    return lines


def _loss(outcome: dict[str, Any]) -> str:
    from banyan.infra.replicas.orders import as_text

    received = as_text(outcome["received"])
    if outcome["rescued"] == 0:
        return "Nothing was lost: the replica had everything."
    if outcome["rescued"]:
        return (
            f"Nothing was lost: {outcome['rescued']} transactions that the replica had not received were read from the "
            "old folder."
        )
    if outcome["synchronous"]:
        return (
            f"Nothing that was confirmed is lost: the replica was synchronous, and had received all up to {received}."
        )
    if outcome["looked_before"] is None:
        return f"What was written after {received} is lost. How much that is cannot be known."
    return (
        f"What was written after {received} is lost: {outcome['lost']:,} bytes of the log at the last look, "
        f"{outcome['looked_before']:.1f} s before the promotion, and what was written after that look."
    )


def _cells(server: dict[str, Any]) -> list[str]:
    names = ", ".join(server["databases"])
    if not server["ours"]:
        return [server["name"], names, "elsewhere", "-", "", "", ""]
    if server["copying"] is not None:
        return [
            server["name"],
            names,
            server["state"],
            "no copy" if server["copying"]["fault"] else "being copied",
            "",
            "",
            _note(server),
        ]
    if server["replica"] is None:
        return [server["name"], names, server["state"], "-", "", "", server["busy"]]
    look = server["look"]
    how = "synchronous" if server["wished_synchronous"] else "asynchronous"
    behind = "" if look is None or look["behind"] is None else f"{look['behind']:,} B, {look['seconds']:.1f} s"
    return [server["name"], names, server["state"], server["replica"], how, behind, _note(server)]


def _note(server: dict[str, Any]) -> str:
    copying = server["copying"]
    if copying is not None:
        return copying["fault"] or _progress(server)
    return "" if server["replica"] == "ready" else str(server["detail"] or server["busy"])
