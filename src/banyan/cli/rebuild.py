"""`banyan <context> rebuild`: what a consumer keeps is built anew, while everybody goes on reading what is there."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from banyan.cli.event import asking, columns, following, times
from banyan.cli.options import Data, Json, fail, settings
from banyan.contracts.messaging import Rebuild, WorkState
from banyan.infra.settings import Settings
from banyan.messaging.subscriptions import SUBSCRIPTIONS


def app_of(context: str) -> typer.Typer:
    """`banyan <context>`."""
    app = typer.Typer(help=f"What {context} keeps of others' events.", no_args_is_help=True)

    @app.callback()
    def of_context() -> None:
        pass

    @app.command("rebuild")
    def rebuild(
        what: Annotated[
            str, typer.Argument(help="A consumer, if there are several; or `ls`, or `cancel`.", show_default=False)
        ] = "",
        consumer: Annotated[str, typer.Argument(help="With `cancel`: whose.", show_default=False)] = "",
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, on a terminal either.")] = False,
        wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay and show how far it is.")] = True,
        data: Data = None,
        as_json: Json = False,
    ) -> None:
        """Build a consumer's state anew from what its owner has, beside the old one, and swap them at the end. `rebuild
        ls` lists rebuilds, `rebuild cancel` ends one."""
        told = settings(data)
        if what == "ls":
            _list(told, context, as_json=as_json)
        elif what == "cancel":
            _cancel(told, context, _consumer(context, consumer))
        else:
            _rebuild(told, context, _consumer(context, what), yes=yes, wait=wait, as_json=as_json)

    return app


def _consumer(context: str, name: str) -> str:
    known = [one.consumer for one in SUBSCRIPTIONS if one.role == context]
    if name in known:
        return name
    if name:
        fail(f"{context} has no consumer '{name}'. There are {', '.join(known)}; `rebuild ls` lists rebuilds.")
    if len(known) > 1:
        fail(f"{context} has several consumers; name one of {', '.join(known)}.")
    return known[0]


def _rebuild(told: Settings, context: str, consumer: str, *, yes: bool, wait: bool, as_json: bool) -> None:
    if not yes and sys.stdin.isatty():
        typer.confirm(f"What {consumer} keeps will be replaced by what its owner knows. Go on?", abort=True, err=True)
    begun = asking.ask_one(told, context, lambda client: client.rebuild(consumer))
    if wait:
        begun = following.rebuild(told, context, begun, quiet=as_json)
    if as_json:
        print(asking.as_json(begun))
    elif not wait:
        print(f"{consumer} is being rebuilt. `banyan {context} rebuild ls` shows how far it is.")
    if wait and begun.state is not WorkState.DONE:
        raise typer.Exit(1)


def _list(told: Settings, context: str, *, as_json: bool) -> None:
    items = asking.ask_one(told, context, lambda client: client.rebuilds()).items
    if as_json:
        print(asking.as_json({"items": items}))
    elif not items:
        print(f"Nothing of {context} was rebuilt yet.")
    else:
        columns.show(("consumer", "state", "done", "since (UTC)", "took", "detail"), [_cells(one) for one in items])


def _cancel(told: Settings, context: str, consumer: str) -> None:
    items = asking.ask_one(told, context, lambda client: client.rebuilds()).items
    running = [one for one in items if one.consumer == consumer and one.state is WorkState.RUNNING]
    if not running:
        fail(f"{consumer} is not being rebuilt.")
    asking.ask_one(told, context, lambda client: asking.done(client.cancel_rebuild(running[0].id)))
    print(f"The rebuild of {consumer} is cancelled; its state is what it was.")


def _cells(one: Rebuild) -> Sequence[str]:
    took = ((one.ended_at or datetime.now(UTC)) - one.started_at).total_seconds()
    done = f"{one.done:,} of {one.total:,}" if one.total else f"{one.done:,}"
    return (one.consumer, one.state, done, times.read(one.started_at), times.span(took), one.detail)
