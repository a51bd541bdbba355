"""`banyan event lag`, `pause` and `resume`: who has yet to hear of what, and letting one wait."""

from typing import Annotated

import typer

from banyan.cli.event import asking, columns, times
from banyan.cli.options import Data, Json, settings
from banyan.contracts.messaging import ConsumerNow, MessagingNow

Name = Annotated[str, typer.Argument(help="A name from `banyan event lag`.")]
_BY = "cli"


def lag(data: Data = None, as_json: Json = False) -> None:
    """Show what waits: in each outbox, and for each consumer."""
    answers = asking.ask(settings(data), asking.CONTEXTS, lambda client: client.now())
    if as_json:
        print(asking.as_json({"items": list(answers.by.values()), "away": answers.away}))
    else:
        _print(list(answers.by.values()))
    answers.tell_away()


def pause(consumer: Name, data: Data = None) -> None:
    """Let a consumer finish what it handles and then wait; its events stay in their queue."""
    asking.ask_one(
        settings(data), asking.context_of(consumer), lambda client: asking.done(client.pause(consumer, by=_BY))
    )
    print(f"{consumer} is paused. `banyan event resume {consumer}` lets it go on.")


def resume(consumer: Name, data: Data = None) -> None:
    """Let a paused consumer go on."""
    asking.ask_one(
        settings(data), asking.context_of(consumer), lambda client: asking.done(client.resume(consumer, by=_BY))
    )
    print(f"{consumer} goes on.")


def _print(contexts: list[MessagingNow]) -> None:
    consumers = [one for context in contexts for one in context.consumers]
    if consumers:
        figures = ("waiting", "oldest", "rate", "in flight", "dead", "parked")
        columns.show(("consumer", *figures, ""), [_cells(one) for one in consumers], right=figures)
    for context in contexts:
        if context.outbox is not None:
            waits = f"{context.outbox.waiting:,} events wait to be published"
            oldest = f", the oldest for {times.span(context.outbox.oldest_seconds)}" if context.outbox.waiting else ""
            print(f"outbox of {context.context}: {waits}{oldest}")


def _cells(one: ConsumerNow) -> list[str]:
    waiting = "?" if one.waiting is None else f"{one.waiting:,}"
    oldest = "-" if not one.waiting or one.oldest_seconds is None else times.span(one.oldest_seconds)
    state = []
    if one.paused_at is not None:
        state.append(f"paused since {times.read(one.paused_at)} by {one.paused_by or '?'}")
    if one.rebuilding:
        state.append("being rebuilt")
    if one.failing:
        state.append(f"{one.failing} fail and are tried again")
    figures = [waiting, oldest, f"{one.rate:.1f}/s", str(one.in_flight), str(one.dead), str(one.parked)]
    return [one.name, *figures, ", ".join(state)]
