"""`banyan event ls` and `show`: the store of every context that tells of events, as one."""

import shlex
from datetime import datetime
from typing import Annotated

import typer

from banyan.cli.event import asking, columns, times
from banyan.cli.options import Data, Json, fail, settings
from banyan.clients.messaging import MessagingClient
from banyan.contracts.messaging import EventPage, StoredEvent, Unmasking
from banyan.infra.http_client import ServiceRefused
from banyan.infra.settings import Settings

_MOST = 1000
_PAGE = 100
_ROUNDS = 5  # how often a search is taken up again where one answer looks only so far back

Kind = Annotated[str, typer.Option("--type", help="A type, with its version or without.")]
Key = Annotated[str, typer.Option("--key", help="The id of what it happened to.")]
Since = Annotated[str | None, typer.Option("--since", help=f"Not before: {times.FORMS}.")]
Until = Annotated[str | None, typer.Option("--until", help="Before then.")]
Source = Annotated[str | None, typer.Option("--source", help=f"One of {', '.join(asking.TELLING)}.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=_MOST, help="How many.")]


def list_events(
    kind: Kind = "",
    key: Key = "",
    since: Since = None,
    until: Until = None,
    source: Source = None,
    limit: Limit = 20,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List what has happened, the newest first, whoever told of it."""
    first, last = _moment(since), _moment(until)

    async def question(client: MessagingClient) -> EventPage:
        return await _page(client, kind=kind, key=key, since=first, until=last, limit=limit)

    answers = asking.ask(settings(data), asking.checked_source(source or _source_of(kind)), question)
    # An id begins with the millisecond of its making.
    every = sorted((one for page in answers.by.values() for one in page.items), key=lambda one: one.id, reverse=True)
    items = every[:limit]
    searched_to = max((page.searched_to for page in answers.by.values() if page.searched_to), default=None)
    if as_json:
        print(asking.as_json({"items": items, "searched_to": searched_to, "away": answers.away}))
    else:
        _print(items, searched_to)
    answers.tell_away()


def show(
    event_id: Annotated[str, typer.Argument(help="As `event ls` shows it.")],
    unmask: Annotated[
        str | None, typer.Option("--unmask", help="Show personal data, for this reason; it is written down.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show one event: what it says, and how to find what it came from. Personal data are masked."""
    told = settings(data)

    async def question(client: MessagingClient) -> StoredEvent | bool:
        try:
            return await client.event(event_id)
        except ServiceRefused as refusal:
            if refusal.status == 404:
                return False
            raise

    answers = asking.ask(told, asking.TELLING, question)
    found = [answer for answer in answers.by.values() if isinstance(answer, StoredEvent)]
    if not found:
        answers.tell_away()
        fail(f"There is no event {event_id}. `banyan event ls` lists the newest.")
    event = found[0]
    if unmask is not None and "pii" in event.data:
        look = Unmasking(by="cli", reason=unmask)
        event = asking.ask_one(told, event.source, lambda client: client.unmasked(event_id, look))
    if as_json:
        print(asking.as_json(event))
    else:
        _print_whole(event, told)


async def _page(
    client: MessagingClient, *, kind: str, key: str, since: datetime | None, until: datetime | None, limit: int
) -> EventPage:
    items: list[StoredEvent] = []
    after: str | None = None
    for _ in range(_ROUNDS + limit // _PAGE):
        page = await client.events(
            kind=kind, key=key, since=since, until=until, after=after, limit=min(_PAGE, limit - len(items))
        )
        items += page.items
        after = page.next
        if after is None:
            return EventPage(items=items)
        if len(items) >= limit:
            return EventPage(items=items, next=after)
    return EventPage(items=items, next=after, searched_to=page.searched_to)


def _moment(text: str | None) -> datetime | None:
    return times.moment(text) if text is not None else None


def _source_of(kind: str) -> str | None:
    """`banyan.learning.student-enrolled` says who tells it; whatever else it says, the store answers."""
    parts = kind.split(".")
    return parts[1] if len(parts) > 2 and parts[1] in asking.TELLING else None


def _print(items: list[StoredEvent], searched_to: datetime | None) -> None:
    if not items and searched_to is None:
        print("Nothing like that has happened.")
        return
    rows = [(times.read(one.at), one.type + (" (archived)" if one.archived else ""), one.key, one.id) for one in items]
    if rows:
        columns.show(("time (UTC)", "type", "key", "id"), rows)
    if searched_to is not None:
        print(f"Looked back to {times.read(searched_to)} UTC; for what is older: --until {searched_to.isoformat()}")


def _print_whole(event: StoredEvent, told: Settings) -> None:
    print(f"{event.type} {event.id}")
    print(f"  at        {times.read(event.at)} UTC, told by {event.source}{', archived' if event.archived else ''}")
    print(f"  key       {columns.plain(event.key)}, position {event.position}")
    if event.request_id:
        request_id = columns.plain(event.request_id)
        print(f"  request   {request_id}; its log lines: grep -h {shlex.quote(request_id)} {told.logs}/*.log")
    parts = (event.traceparent or "").split("-")
    if len(parts) == 4:
        print(f"  trace     {parts[1]}")
    print("  data")
    for line in asking.as_json(event.data).splitlines():
        print(f"    {columns.plain(line)}")
