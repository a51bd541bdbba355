"""`banyan event dead ...`: what consumers could not handle, and what is parked behind it."""

import re
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from banyan.cli.event import asking, columns, times
from banyan.cli.options import Data, Json, fail, settings
from banyan.clients.messaging import MessagingClient
from banyan.contracts.messaging import DeadChoice, DeadLetter, DeadOutcome, DeadPage, WholeDeadLetter
from banyan.infra.http_client import ServiceRefused

app = typer.Typer(help="Events that a consumer could not handle, and those parked behind them.", no_args_is_help=True)

_PAGE = 100
_ID = re.compile(r"([a-z-]+):([0-9]{1,18})")

Letter = Annotated[str, typer.Argument(help="As `event dead ls` shows it, for instance learning:12.")]


@app.command("ls")
def list_dead(
    consumer: Annotated[str, typer.Option("--consumer", help="Of this consumer alone.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many of each context.")] = 100,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List dead letters, the oldest first; what is parked stands behind what it waits for."""
    contexts = (asking.context_of(consumer),) if consumer else asking.HEARING
    answers = asking.ask(settings(data), contexts, lambda client: _page(client, consumer=consumer, limit=limit))
    total = sum(page.total for page in answers.by.values())
    if as_json:
        items = [
            {"ref": f"{context}:{one.id}", "context": context, "letter": one}
            for context, page in answers.by.items()
            for one in page.items
        ]
        print(asking.as_json({"items": items, "total": total, "away": answers.away}))
    elif any(page.items for page in answers.by.values()):
        columns.show(_HEADS, _rows(answers.by), right=("tries",))
        shown = sum(len(page.items) for page in answers.by.values())
        if total > shown:
            print(f"{shown} of {total}; --limit shows more.")
    elif not answers.away:
        print("Everything that came could be handled.")
    answers.tell_away()


@app.command("show")
def show(letter: Letter, data: Data = None, as_json: Json = False) -> None:
    """Show one letter: why it was not handled, what it says, what waits behind it."""
    context, number = _ref(letter)
    found = asking.ask_one(settings(data), context, lambda client: _letter(client, letter, number))
    if as_json:
        print(asking.as_json({"ref": letter, "context": context, **_fields(found)}))
        return
    one = found.letter
    print(f"{letter}: {columns.plain(one.type) or 'no event'} {one.event_id}")
    print(f"  consumer  {one.consumer}")
    print(f"  key       {columns.plain(one.key)}; {one.behind} of it parked behind this one")
    print(f"  state     {one.state}, since {times.read(one.at)} UTC, after {one.attempts} attempts{_redriving(one)}")
    print(f"  error     {columns.plain(one.error)}")
    if found.traceback:
        print("  traceback")
        _indented(found.traceback)
    print("  body (personal data masked)")
    _indented(found.body)
    print(f"Try it again: banyan event dead redrive {letter}. Give it up: banyan event dead discard {letter}.")


@app.command("redrive")
def redrive(
    letter: Annotated[str | None, typer.Argument(help="One letter, and with it all of its key.")] = None,
    consumer: Annotated[str | None, typer.Option("--consumer", help="All of this consumer.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All of everybody.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Handle letters again, in the order of their keys, as soon as their consumer runs."""
    if sum((letter is not None, consumer is not None, every)) != 1:
        fail("Say what to try again: one letter (learning:12), --consumer NAME, or --all.", code=2)
    contexts: Sequence[str] = asking.HEARING
    choice = DeadChoice(all=True)
    if letter is not None:
        context, number = _ref(letter)
        contexts, choice = (context,), DeadChoice(id=number)
    elif consumer is not None:
        contexts, choice = (asking.context_of(consumer),), DeadChoice(consumer=consumer)
    answers = asking.ask(settings(data), contexts, lambda client: _redrive(client, letter or "", choice))
    letters = sum(one.letters for one in answers.by.values())
    keys = sum(one.keys for one in answers.by.values())
    if as_json:
        print(asking.as_json({"letters": letters, "keys": keys, "away": answers.away}))
    elif letters:
        print(f"{_letters(letters)} of {_keys(keys)} will be tried again.")
    elif not answers.away:
        print("There is nothing to try again.")
    answers.tell_away()


@app.command("discard")
def discard(
    letter: Letter,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Give one letter up for good: it never comes again to this consumer, and the rest of its key goes on."""
    context, number = _ref(letter)
    told = settings(data)
    found = asking.ask_one(told, context, lambda client: _letter(client, letter, number))
    if not yes and sys.stdin.isatty():
        what = columns.plain(f"{found.letter.type or 'what is no event'} of {found.letter.key}")
        typer.confirm(f"{found.letter.consumer} will never handle {what}. Discard it?", abort=True, err=True)
    done = asking.ask_one(told, context, lambda client: client.discard(DeadChoice(id=number)))
    if as_json:
        print(asking.as_json(done))
    else:
        print(f"{letter} is discarded.")


async def _page(client: MessagingClient, *, consumer: str, limit: int) -> DeadPage:
    items: list[DeadLetter] = []
    after: str | None = None
    while True:
        page = await client.dead(consumer=consumer, after=after, limit=min(_PAGE, limit - len(items)))
        items += page.items
        after = page.next
        if after is None or len(items) >= limit:
            return DeadPage(items=items, next=after, total=page.total)


async def _letter(client: MessagingClient, ref: str, number: int) -> WholeDeadLetter:
    try:
        return await client.dead_letter(number)
    except ServiceRefused as refusal:
        raise _named(refusal, ref) from None


async def _redrive(client: MessagingClient, ref: str, choice: DeadChoice) -> DeadOutcome:
    try:
        return await client.redrive(choice)
    except ServiceRefused as refusal:
        raise _named(refusal, ref) from None


def _named(refusal: ServiceRefused, ref: str) -> ServiceRefused:
    if refusal.status != 404 or not ref:
        return refusal
    return ServiceRefused(404, refusal.slug, f"There is no dead letter {ref}. `banyan event dead ls` lists them.")


def _ref(letter: str) -> tuple[str, int]:
    """`learning:12`: numbers are each context's own."""
    found = _ID.fullmatch(letter)
    if found is None or found[1] not in asking.HEARING:
        fail(f"'{letter}' is no dead letter's id; they look like learning:12, and `banyan event dead ls` lists them.")
    return found[1], int(found[2])


_HEADS = ("id", "consumer", "type", "key", "state", "tries", "since (UTC)", "error")


def _rows(by: dict[str, DeadPage]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for context, page in by.items():
        for one in page.items:
            state = f"{one.state}{_redriving(one)}"
            cells = (f"{context}:{one.id}", one.consumer, one.type or "-", one.key, state, str(one.attempts))
            rows.append((*cells, times.read(one.at), " ".join(one.error.split())[:100]))
    return rows


def _redriving(one: DeadLetter) -> str:
    return ", is tried again" if one.redriving else ""


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count} letters"


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count} keys"


def _fields(found: WholeDeadLetter) -> dict[str, object]:
    return {"letter": found.letter, "traceback": found.traceback, "body": found.body}


def _indented(text: str) -> None:
    for line in text.rstrip().splitlines():
        print(f"    {columns.plain(line.expandtabs())}")
