"""`banyan event replay`, `replays` and `cancel`: telling again what has happened."""

import sys
from collections.abc import Sequence
from dataclasses import replace as changed
from datetime import UTC, datetime
from typing import Annotated

import typer

from banyan.cli.event import asking, columns, following, looking, times
from banyan.cli.options import Data, Json, fail, settings
from banyan.clients.messaging import MessagingClient
from banyan.contracts.messaging import DEFAULT_RATE, HIGHEST_RATE, Replay, ReplayWish, WorkState
from banyan.infra.http_client import ServiceRefused
from banyan.infra.settings import Settings
from banyan.messaging import envelope
from banyan.messaging.subscriptions import SUBSCRIPTIONS

Types = Annotated[list[str] | None, typer.Option("--type", help="A type, with its version or without. Repeatable.")]
Whom = Annotated[str | None, typer.Option("--consumer", help="For this one alone; otherwise for all who subscribed.")]
Rate = Annotated[int, typer.Option("--rate", help=f"Events in a second, 1 to {HIGHEST_RATE:,}.")]


def replay(
    types: Types = None,
    key: looking.Key = "",
    since: looking.Since = None,
    until: looking.Until = None,
    source: looking.Source = None,
    consumer: Whom = None,
    every: Annotated[bool, typer.Option("--all", help="Everything, where nothing else chooses.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    rate: Rate = DEFAULT_RATE,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, on a terminal either.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Stay and show how far it is.")] = True,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tell stored events again, at a bounded rate. Who has handled one does not handle it again; to build a consumer's
    state anew there is `banyan CONTEXT rebuild`."""
    told = settings(data)
    wish = ReplayWish(
        types=types or [],
        key=key or None,
        since=times.moment(since) if since is not None else None,
        until=times.moment(until) if until is not None else None,
        consumer=consumer,
        all=every,
        dry_run=True,
        rate=rate,
        asked_by="cli",
    )
    wishes = _by_source(wish, source)
    counted = asking.ask(told, list(wishes), lambda client: client.replay(wishes[client.context]))
    if counted.away:
        asking.away(counted.away)
    found = list(counted.by.values())
    if dry_run or not sum(one.total for one in found):
        _print(found, as_json=as_json)
        return
    if not as_json:
        _print(found, as_json=False)
    if not yes and sys.stdin.isatty():
        typer.confirm("Tell them again?", abort=True, err=True)
    begun = _begin(told, {one.source: wishes[one.source] for one in found if one.total})
    _follow(told, begun, wait=wait, as_json=as_json)


def list_replays(data: Data = None, as_json: Json = False) -> None:
    """List replays, the newest first."""
    answers = asking.ask(settings(data), asking.TELLING, lambda client: client.replays())
    items = sorted((one for page in answers.by.values() for one in page.items), key=lambda one: one.id, reverse=True)
    if as_json:
        print(asking.as_json({"items": items, "away": answers.away}))
    elif items:
        columns.show(_HEADS, [_cells(one) for one in items], right=("rate",))
        for detail in dict.fromkeys(one.detail for one in items if one.detail and one.state is not WorkState.DONE):
            print(detail)
    elif not answers.away:
        print("Nothing was told again yet.")
    answers.tell_away()


def cancel(replay_id: Annotated[str, typer.Argument(help="As `event replays` shows it.")], data: Data = None) -> None:
    """End a replay before its end; what is on its way is still told."""

    async def question(client: MessagingClient) -> bool:
        try:
            await client.cancel_replay(replay_id)
        except ServiceRefused as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    answers = asking.ask(settings(data), asking.TELLING, question)
    if not any(answers.by.values()):
        answers.tell_away()
        fail(f"There is no replay {replay_id}. `banyan event replays` lists them.")
    print(f"Replay {replay_id} is cancelled.")


def _by_source(wish: ReplayWish, source: str | None) -> dict[str, ReplayWish]:
    """Each context tells its own events."""
    wanted = list(asking.checked_source(source))
    if wish.consumer is not None:
        asking.context_of(wish.consumer)
        heard = next(one for one in SUBSCRIPTIONS if one.consumer == wish.consumer)
        wanted = [one for one in wanted if one == envelope.source_of(heard.events[0].TYPE)]
        if not wanted:
            fail(f"{wish.consumer} does not hear of {source}.")
    if not wish.types:
        return dict.fromkeys(wanted, wish)
    told_by = {kind: _source_of(kind) for kind in wish.types}
    by = {one: [kind for kind, teller in told_by.items() if teller == one] for one in wanted}
    # What nobody tells goes where it is refused with a reason.
    strange = [kind for kind in wish.types if told_by[kind] not in wanted]
    by[wanted[0]] += strange
    return {one: changed(wish, types=kinds) for one, kinds in by.items() if kinds}


def _source_of(kind: str) -> str:
    parts = kind.split(".")
    return parts[1] if len(parts) > 2 else ""


def _begin(told: Settings, wishes: dict[str, ReplayWish]) -> list[Replay]:
    answers = asking.ask(
        told, list(wishes), lambda client: client.replay(changed(wishes[client.context], dry_run=False))
    )
    if answers.away and not answers.by:
        asking.away(answers.away)
    for one in answers.away:
        print(f"banyan: {asking.says_nothing([one])}", file=sys.stderr)
    return list(answers.by.values())


def _follow(told: Settings, begun: Sequence[Replay], *, wait: bool, as_json: bool) -> None:
    if not wait:
        if as_json:
            print(asking.as_json({"items": begun}))
        for one in begun if not as_json else ():
            print(f"Replay {one.id} runs. `banyan event replays` shows how far it is, `event cancel {one.id}` ends it.")
        return
    ended = following.replays(told, begun, quiet=as_json)
    if as_json:
        print(asking.as_json({"items": ended}))
    if any(one.state is not WorkState.DONE for one in ended):
        raise typer.Exit(1)


def _print(found: Sequence[Replay], *, as_json: bool) -> None:
    if as_json:
        print(asking.as_json({"items": found}))
        return
    for one in [one for one in found if one.total] or found:
        whom = one.consumer or "all who subscribed"
        count = "1 event" if one.total == 1 else f"{one.total:,} events"
        takes = f" in about {times.span(max(1.0, one.total / one.rate))}" if one.total else ""
        print(f"{one.source}: {count} for {whom}, at {one.rate:,}/s{takes}", flush=True)
    for detail in dict.fromkeys(one.detail for one in found if one.detail):
        print(detail)


_HEADS = ("id", "events of", "for", "state", "told", "rate", "since (UTC)", "took")


def _cells(one: Replay) -> Sequence[str]:
    took = ((one.ended_at or datetime.now(UTC)) - one.started_at).total_seconds()
    told = f"{one.done:,} of {one.total:,}"
    whom = one.consumer or "all"
    return (one.id, one.source, whom, one.state, told, f"{one.rate:,}/s", times.read(one.started_at), times.span(took))
