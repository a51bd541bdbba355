"""What can be read of a store: the newest events and those that are searched for, one of them, and all in their order,
with the archive where it has to be. Each answer costs a bounded amount of work, whatever is searched for."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from banyan.contracts.messaging import EventPage, StoredEvent
from banyan.infra.postgres import Database, Row
from banyan.infra.settings import Settings
from banyan.kit.errors import NotFound
from banyan.messaging import envelope, privacy
from banyan.messaging.store import child, days
from banyan.messaging.store.protocol import File, Find, Read

Erased = Callable[[Sequence[str]], Awaitable[set[str]]]

_WINDOW = 20_000
_SEARCH_SECONDS = 1.0
_STREAM_SECONDS = 6.0
_STREAM_BYTES = 8_000_000
_FILES = 100
# An event's id is made a little after what is told as its time; clocks of two machines differ.
_SLACK = timedelta(hours=1)

_COLUMNS = "id, type, key, position, at, request_id, traceparent, data::text AS data"

# So many rows are looked at, whatever fits; an id tells which days.
NEWEST = f"""
SELECT {_COLUMNS} FROM (
    SELECT * FROM event WHERE id < $1 AND id >= $2 ORDER BY id DESC LIMIT {_WINDOW}
) AS seen WHERE type LIKE ANY($3::text[]) AND at >= $4 AND at < $5 ORDER BY id DESC LIMIT $6
"""  # noqa: S608 # constants of this file
NEWEST_SEEN = f"SELECT id FROM event WHERE id < $1 AND id >= $2 ORDER BY id DESC OFFSET {_WINDOW - 1} LIMIT 1"  # noqa: S608 # a constant
OF_KEY = f"""
WITH seen AS MATERIALIZED (
    SELECT * FROM event WHERE key = $7 AND id < $1 AND id >= $2 ORDER BY position DESC LIMIT {_WINDOW}
)
SELECT {_COLUMNS} FROM seen
WHERE type LIKE ANY($3::text[]) AND at >= $4 AND at < $5 ORDER BY id DESC LIMIT $6
"""  # noqa: S608 # constants of this file
OF_KEY_SEEN = f"""
SELECT id FROM event WHERE key = $3 AND id < $1 AND id >= $2 ORDER BY position DESC OFFSET {_WINDOW - 1} LIMIT 1
"""  # noqa: S608 # a constant
ONE = f"SELECT {_COLUMNS} FROM event WHERE id = $1"  # noqa: S608 # constants of this file
IN_ORDER = f"""
SELECT * FROM (
    SELECT *, sum(octet_length(data)) OVER (ORDER BY position) AS bytes FROM (
        SELECT {_COLUMNS} FROM (
            SELECT * FROM event WHERE position > $1 ORDER BY position LIMIT {_WINDOW}
        ) AS seen WHERE type LIKE ANY($2::text[]) ORDER BY position LIMIT $3
    ) AS fitting
) AS sized WHERE bytes - octet_length(data) < $4 ORDER BY position
"""  # noqa: S608 # constants of this file
IN_ORDER_SEEN = f"SELECT position FROM event WHERE position > $1 ORDER BY position OFFSET {_WINDOW - 1} LIMIT 1"  # noqa: S608 # a constant
FILES = """
SELECT name, first_position FROM archived_day WHERE last_position > $1 ORDER BY first_position, name LIMIT $2
"""
FILES_WITH = "SELECT name FROM archived_day WHERE first_id <= $1 AND last_id >= $1 ORDER BY at DESC"

_EVER = datetime(9000, 1, 1, tzinfo=UTC)
_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_HIGHEST_ID = UUID(int=(1 << 128) - 1)
_LOWEST_ID = UUID(int=0)


class EventUnknown(NotFound):
    def __init__(self, context: str, event_id: str) -> None:
        super().__init__(f"{context} knows no event {event_id}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """`kind` without a version means every version."""

    kind: str = ""
    key: str = ""
    since: datetime | None = None
    until: datetime | None = None


class Store:
    """Of one context. `erased` tells which keys of its events are people who were erased, where any can be."""

    def __init__(self, settings: Settings, context: str, database: Database, *, erased: Erased | None = None) -> None:
        self._context = context
        self._database = database
        self._erased = erased
        self._archive = child.Reader(settings)

    async def newest(self, search: Search, *, after: UUID | None, limit: int) -> EventPage:
        """Below the id `after`, from the store alone: what is archived is found by its id and in the stream."""
        if "\0" in search.kind + search.key:  # which PostgreSQL takes in no text, so that no event has it
            return EventPage(items=[])
        ends = time.monotonic() + _SEARCH_SECONDS
        lowest = days.first_id(search.since - _SLACK) if search.since is not None else _LOWEST_ID
        below = days.first_id(search.until + _SLACK) if search.until is not None else _HIGHEST_ID
        below = min(below, after or _HIGHEST_ID)
        if search.key:
            return await self._newest_of_key(search, below, lowest, limit=limit)
        items = list[StoredEvent]()
        for first, end in days.ranges(await days.days(self._database)):
            low, high = max(first, lowest), min(end, below)
            while low < high:
                items += await self._search(search, high, low, limit=limit - len(items))
                if len(items) == limit:
                    return EventPage(items=items, next=items[-1].id)
                high = await self._database.fetchval(NEWEST_SEEN, high, low) or low
                if time.monotonic() > ends and high > lowest:
                    return EventPage(items=items, next=str(high), searched_to=_time_of(high))
        return EventPage(items=items)

    async def _newest_of_key(self, search: Search, below: UUID, lowest: UUID, *, limit: int) -> EventPage:
        """A key's events are told in the order of their making, so the last of them have the highest ids."""
        items = await self._search(search, below, lowest, limit=limit)
        if len(items) == limit:
            return EventPage(items=items, next=items[-1].id)
        reached = await self._database.fetchval(OF_KEY_SEEN, below, lowest, search.key)
        if reached is None:
            return EventPage(items=items)
        return EventPage(items=items, next=str(reached), searched_to=_time_of(reached))

    async def _search(self, search: Search, below: UUID, lowest: UUID, *, limit: int) -> list[StoredEvent]:
        patterns = _patterns([search.kind] if search.kind else [])
        given = (below, lowest, patterns, search.since or _NEVER, search.until or _EVER, limit)
        if search.key:
            rows = await self._database.fetch(OF_KEY, *given, search.key)
        else:
            rows = await self._database.fetch(NEWEST, *given)
        return await self._shown([_event(row) for row in rows])

    async def event(self, event_id: UUID, *, sealed: bool = False) -> StoredEvent:
        """`sealed`: personal data as they are kept, for whoever opens them. Raises EventUnknown, ArchiveUnread,
        ArchiveBusy."""
        found = await self._find(event_id, sealed=sealed)
        return found if sealed else (await self._shown([found]))[0]

    async def _find(self, event_id: UUID, *, sealed: bool) -> StoredEvent:
        row = await self._database.fetchrow(ONE, event_id)
        if row is not None:
            return _event(row, sealed=sealed)
        names = [row["name"] for row in await self._database.fetch(FILES_WITH, event_id)]
        page = await self._archive.read(Find(names=names, id=str(event_id))) if names else None
        if page is None or not page.rows:
            raise EventUnknown(self._context, str(event_id))
        return _archived(page.rows[0], sealed=sealed)

    async def _shown(self, items: list[StoredEvent]) -> list[StoredEvent]:
        """Of who was erased there is nothing to mask."""
        people = sorted({item.key for item in items if "pii" in item.data})
        if self._erased is None or not people:
            return items
        gone = await self._erased(people)
        return [
            replace(item, data={**item.data, "pii": privacy.erased()})
            if "pii" in item.data and item.key in gone
            else item
            for item in items
        ]

    async def stream(self, types: Sequence[str], *, after: int, limit: int) -> EventPage:
        """Above the position `after`, in the order of positions; `next` is a position. Personal data are as they are
        kept, sealed: this is for whoever builds from it what it may know. A page is empty only at the end, or where
        much was looked through in vain. What is committed while it is read may have a position before `after`: who
        must hear of that, hears of it by the bus.

        Raises ArchiveUnread, ArchiveBusy."""
        ends = time.monotonic() + _STREAM_SECONDS
        while True:
            items, reached = await self._part(types, after=after, limit=limit)
            if items or reached is None or time.monotonic() > ends:
                return EventPage(items=items, next=None if reached is None else str(reached))
            after = reached

    async def _part(self, types: Sequence[str], *, after: int, limit: int) -> tuple[list[StoredEvent], int | None]:
        # The table before the archive: a day that goes from the one to the other meanwhile is seen in one of them.
        found, kept_to = await self._kept(types, after=after, limit=limit)
        archived, archived_to = await self._archived(types, after=after, limit=limit)
        found.update({position: event for position, event in archived.items() if position not in found})
        ends = [end for end in (kept_to, archived_to) if end is not None]
        places = sorted(position for position in found if not ends or position <= min(ends))
        if len(places) > limit:
            return [found[place] for place in places[:limit]], places[limit - 1]
        return [found[place] for place in places], min(ends) if ends else None

    async def _kept(self, types: Sequence[str], *, after: int, limit: int) -> tuple[dict[int, StoredEvent], int | None]:
        """And the position up to which that is all; None: there is nothing after it."""
        rows = await self._database.fetch(IN_ORDER, after, _patterns(types), limit, _STREAM_BYTES)
        found = {row["position"]: _event(row, sealed=True) for row in rows}
        if rows and (len(rows) == limit or rows[-1]["bytes"] >= _STREAM_BYTES):
            return found, max(found)
        reached: int | None = await self._database.fetchval(IN_ORDER_SEEN, after)
        return found, reached

    async def _archived(
        self, types: Sequence[str], *, after: int, limit: int
    ) -> tuple[dict[int, StoredEvent], int | None]:
        files = await self._database.fetch(FILES, after, _FILES + 1)
        if not files:
            return {}, None
        some = [File(row["name"], row["first_position"]) for row in files[:_FILES]]
        page = await self._archive.read(
            Read(files=some, after=after, types=list(types), limit=limit, size=_STREAM_BYTES)
        )
        reached = page.reached
        if reached is None and len(files) > _FILES:
            reached = max(after, files[_FILES]["first_position"] - 1)
        return {row["position"]: _archived(row, sealed=True) for row in page.rows}, reached


def _patterns(kinds: Sequence[str]) -> list[str]:
    """Of LIKE; a type without a version means every version."""
    literal = [kind.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for kind in kinds]
    return [pattern for kind in literal for pattern in (kind, f"{kind}.v%")] or ["%"]


def _event(row: Row | Mapping[str, Any], *, sealed: bool = False, archived: bool = False) -> StoredEvent:
    data = msgspec.json.decode(row["data"])
    return StoredEvent(
        id=str(row["id"]),
        type=row["type"],
        source=envelope.source_of(row["type"]),
        key=row["key"],
        at=row["at"],
        position=row["position"],
        request_id=row["request_id"],
        traceparent=row["traceparent"],
        data=data if sealed else privacy.masked(data),
        archived=archived,
    )


def _archived(row: Mapping[str, Any], *, sealed: bool = False) -> StoredEvent:
    return _event({**row, "at": datetime.fromisoformat(row["at"])}, sealed=sealed, archived=True)


def _time_of(event_id: UUID) -> datetime:
    return datetime.fromtimestamp(min(event_id.int >> 80, 1 << 44) / 1000, UTC)
