"""Looking for what has happened, and at one event or one dead letter: asked for once, and never kept up to date."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from banyan.contracts.identity import Permission
from banyan.contracts.messaging import EventPage, StoredEvent
from banyan.gateway.adapters.messaging import TELLING, Messaging
from banyan.gateway.http.console import payloads
from banyan.infra.http_client import ServiceAway, ServiceRefused
from banyan.infra.identity import Caller
from banyan.infra.pages import KOREA
from banyan.kit.errors import NotFound
from banyan.messaging import envelope

Values = dict[str, Any]

EVENTS_SHOWN = 50
_PATIENCE_SECONDS = 8.0  # the archive is read where it has to be
_SHORT_SECONDS = 1.5  # with whom did not answer a moment ago: a connection to a dead process only waits
_LONGEST_WORDS = 200
_LONGEST_ID = 18  # digits of what fits a bigint


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for, as it was typed; `faults` are the names of fields that make no sense."""

    type: str
    key: str
    since: str
    until: str
    after: str
    from_: datetime | None
    to: datetime | None
    faults: tuple[str, ...]

    def link(self, after: str) -> str:
        """The query that goes on from there."""
        asked = {"type": self.type, "key": self.key, "since": self.since, "until": self.until, "after": after}
        return "?" + urlencode({name: value for name, value in asked.items() if value})


@dataclass(frozen=True, slots=True)
class Found:
    """Newest first. `refused` is why a context did not look."""

    items: list[StoredEvent]
    next: str | None
    away: list[str]
    refused: list[str]
    searched_to: datetime | None


class LetterUnknown(NotFound):
    """There is no such dead letter. It may have been tried again, or thrown away."""


class EventUnknown(NotFound):
    """There is no such event in this context's store."""


class Looking:
    def __init__(self, messaging: Messaging) -> None:
        self._messaging = messaging

    async def search(self, query: Mapping[str, str]) -> Values:
        wanted = wanted_of(query)
        return {"wanted": wanted, "types": sorted(envelope.TYPES), "found": await self._found(wanted)}

    async def letter(self, context: str, letter_id: str) -> Values:
        """Raises ContextUnknown, LetterUnknown, ServiceAway, and ServiceRefused for one that is gone."""
        try:
            whole = await self._messaging.of(context).dead_letter(number(letter_id))
        except ServiceRefused as refusal:
            raise (LetterUnknown() if refusal.status == 404 else refusal) from refusal
        return {"context": context, "whole": whole, "letter": whole.letter, "body": payloads.body(whole.body)}

    async def event(self, context: str, event_id: str, caller: Caller) -> Values:
        """Raises ContextUnknown, EventUnknown, ServiceAway, and ServiceRefused."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                event = await self._messaging.of(context).event(event_id)
        except TimeoutError as late:
            raise ServiceAway from late
        except ServiceRefused as refusal:
            raise (EventUnknown() if refusal.status in (404, 422) else refusal) from refusal
        return self.shown(context, event, caller)

    def shown(self, context: str, event: StoredEvent, caller: Caller) -> Values:
        return {
            "context": context,
            "event": event,
            "pieces": payloads.pieces(event.data, unmasked=event.unmasked),
            "trace_id": payloads.trace_id(event),
            "personal": payloads.has_personal_data(event),
            "may_see": caller.may(Permission.SEE_PERSONAL_DATA),
        }

    async def _found(self, wanted: Wanted) -> Found:
        asked = [name for name in TELLING if not wanted.type or envelope.source_of(f"{wanted.type}...") == name]
        known = await self._messaging.now()
        answers = await asyncio.gather(
            *(
                self._ask(name, wanted, patience=_SHORT_SECONDS if known[name].away else _PATIENCE_SECONDS)
                for name in asked
            )
        )
        pages = [answer for answer in answers if isinstance(answer, EventPage)]
        items, onward = merged(pages)
        return Found(
            items=items,
            next=onward,
            away=[name for name, answer in zip(asked, answers, strict=True) if isinstance(answer, ServiceAway)],
            refused=[answer.detail for answer in answers if isinstance(answer, ServiceRefused)],
            searched_to=max((page.searched_to for page in pages if page.searched_to and page.next), default=None),
        )

    async def _ask(self, context: str, wanted: Wanted, *, patience: float) -> EventPage | ServiceAway | ServiceRefused:
        try:
            async with asyncio.timeout(patience):
                return await self._messaging.of(context).events(
                    kind=wanted.type,
                    key=wanted.key,
                    since=wanted.from_,
                    until=wanted.to,
                    after=wanted.after or None,
                    limit=EVENTS_SHOWN,
                )
        except TimeoutError:
            return ServiceAway()
        except (ServiceAway, ServiceRefused) as fault:
            return fault


def number(letter_id: str) -> int:
    """Raises LetterUnknown for what no dead letter is called."""
    if not letter_id.isascii() or not letter_id.isdecimal() or len(letter_id) > _LONGEST_ID:
        raise LetterUnknown
    return int(letter_id)


def wanted_of(query: Mapping[str, str]) -> Wanted:
    typed = {name: query.get(name, "").strip()[:_LONGEST_WORDS] for name in ("type", "key", "since", "until", "after")}
    times = {name: _time(typed[name]) for name in ("since", "until")}
    faults = tuple(name for name, time in times.items() if typed[name] and time is None)
    return Wanted(**typed, from_=times["since"], to=times["until"], faults=faults)


def merged(pages: Sequence[EventPage]) -> tuple[list[StoredEvent], str | None]:
    """Several stores' pages as one, and where to go on: ids are times, so a place in one is a place in all. A page
    that ended before the others says nothing of what is older than its end."""
    ends = [page.next for page in pages if page.next]
    horizon = max(ends, default="")
    items = sorted((one for page in pages for one in page.items if one.id >= horizon), key=lambda one: one.id)[::-1]
    if len(items) > EVENTS_SHOWN:
        return items[:EVENTS_SHOWN], items[EVENTS_SHOWN - 1].id
    return items, horizon or None


def _time(typed: str) -> datetime | None:
    """A time in Korea, as a browser's field writes it; None for what is none."""
    try:
        found = datetime.fromisoformat(typed)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=KOREA)
