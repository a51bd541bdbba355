"""Showing how far a replay or a rebuild is: a bar on a terminal, lines elsewhere. Who stops looking stops nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn, Protocol, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from banyan.cli.event import asking
from banyan.clients.messaging import MessagingClient
from banyan.contracts.messaging import Rebuild, Replay, WorkState
from banyan.infra.http_client import ServiceAway
from banyan.infra.settings import Settings

_POLL_SECONDS = 0.3
_LINE_SECONDS = 10.0
_AWAY_SECONDS = 60.0  # a process that restarts goes on with it


class Work(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def state(self) -> WorkState: ...
    @property
    def total(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def detail(self) -> str: ...


WorkT = TypeVar("WorkT", bound=Work)
Look = Callable[[], Awaitable[list[WorkT]]]


def replays(told: Settings, begun: Sequence[Replay], *, quiet: bool) -> list[Replay]:
    """Until all of them are over."""
    ids = {one.id for one in begun}

    async def of(context: str) -> list[Replay]:
        client = MessagingClient(told, context)
        try:
            return [one for one in (await client.replays()).items if one.id in ids]
        finally:
            await client.close()

    async def look() -> list[Replay]:
        each = await asyncio.gather(*(of(context) for context in sorted({one.source for one in begun})))
        return [one for some in each for one in some]

    hint = " and ".join(f"`banyan event cancel {one.id}`" for one in begun)
    names = {one.id: f"{one.source}" for one in begun}
    return _follow(look, names, quiet=quiet, cancel=hint, contexts=sorted({one.source for one in begun}))


def rebuild(told: Settings, context: str, begun: Rebuild, *, quiet: bool) -> Rebuild:
    async def look() -> list[Rebuild]:
        client = MessagingClient(told, context)
        try:
            return [one for one in (await client.rebuilds()).items if one.id == begun.id]
        finally:
            await client.close()

    hint = f"`banyan {context} rebuild cancel {begun.consumer}`"
    return _follow(look, {begun.id: begun.consumer}, quiet=quiet, cancel=hint, contexts=[context])[0]


def _follow(
    look: Look[WorkT], names: dict[str, str], *, quiet: bool, cancel: str, contexts: Sequence[str]
) -> list[WorkT]:
    console = Console(stderr=True)
    try:
        if console.is_terminal and not quiet:
            return asyncio.run(_with_bar(look, names, console, contexts))
        return asyncio.run(_with_lines(look, names, contexts, quiet=quiet))
    except KeyboardInterrupt:
        _goes_on(cancel)


def _goes_on(cancel: str) -> NoReturn:
    typer.echo(f"\nIt goes on without you looking; {cancel} ends it.", err=True)
    raise typer.Exit(130)


async def _with_bar(look: Look[WorkT], names: dict[str, str], console: Console, contexts: Sequence[str]) -> list[WorkT]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=console) as progress:
        bars = {one: progress.add_task(name, total=None, rate="") for one, name in names.items()}

        def show(found: Sequence[Work]) -> None:
            for one in found:
                rate = f"{one.done / max(0.1, time.monotonic() - started):,.0f}/s"
                progress.update(bars[one.id], completed=one.done, total=one.total or None, rate=rate)

        ended = await _until_over(look, show, contexts)
    _say_end(ended, names)
    return ended


async def _with_lines(look: Look[WorkT], names: dict[str, str], contexts: Sequence[str], *, quiet: bool) -> list[WorkT]:
    due = time.monotonic() + _LINE_SECONDS

    def show(found: Sequence[Work]) -> None:
        nonlocal due
        if not quiet and time.monotonic() >= due:
            due = time.monotonic() + _LINE_SECONDS
            for one in found:
                print(f"{names[one.id]}: {_far(one)}{f' ({one.detail})' if one.detail else ''}", flush=True)

    ended = await _until_over(look, show, contexts)
    if not quiet:
        _say_end(ended, names)
    return ended


async def _until_over(
    look: Look[WorkT], show: Callable[[Sequence[Work]], None], contexts: Sequence[str]
) -> list[WorkT]:
    heard = time.monotonic()
    while True:
        try:
            found = await look()
        except ServiceAway:
            if time.monotonic() > heard + _AWAY_SECONDS:
                asking.away(contexts)
        else:
            heard = time.monotonic()
            show(found)
            if all(one.state is not WorkState.RUNNING for one in found):
                return found
        await asyncio.sleep(_POLL_SECONDS)


def _say_end(ended: Sequence[Work], names: dict[str, str]) -> None:
    for one in ended:
        detail = f": {one.detail}" if one.detail else ""
        print(f"{names[one.id]}: {one.state}, {_far(one)}{detail}", flush=True)


def _far(one: Work) -> str:
    return f"{one.done:,} of {one.total:,}" if one.total else f"{one.done:,}"
