"""Contexts' processes that answer on their sockets what a test has given them about their events, and remember what
they were asked to do."""

import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import msgspec
from aiohttp import web

from banyan.contracts.messaging import (
    MASK,
    ConsumerNow,
    DeadLetter,
    DeadOutcome,
    DeadPage,
    DeadState,
    EventPage,
    MessagingNow,
    OutboxNow,
    Rebuild,
    RebuildList,
    Replay,
    ReplayList,
    StoredEvent,
    WholeDeadLetter,
    WorkState,
)
from banyan.infra import http
from banyan.infra.settings import Settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PERSON = "01a20ccf-a37d-79fb-a85a-4e425fb6420e"


@dataclass
class Context:
    """What one process says. `asked` counts questions by their path, `told` are the writes with what they said."""

    name: str
    now: MessagingNow
    dead: list[WholeDeadLetter] = field(default_factory=list)
    events: list[StoredEvent] = field(default_factory=list)
    replays: list[Replay] = field(default_factory=list)
    rebuilds: list[Rebuild] = field(default_factory=list)
    page_next: str | None = None
    asked: Counter[str] = field(default_factory=Counter)
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    queries: list[dict[str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/internal/messaging")
        self.asked[path] += 1
        if request.method != "GET":
            body = await request.text()
            self.told.append((f"{request.method} {path}", {**request.query, **(json.loads(body) if body else {})}))
        else:
            self.queries.append(dict(request.query))
        said = self._said(path, dict(request.query))
        if said is None:
            return web.Response(status=404, text='{"type": "unknown", "title": "", "detail": "There is none."}')
        return web.Response(body=msgspec.json.encode(said), content_type="application/json")

    def _said(self, path: str, query: dict[str, str]) -> object:
        said: object = None
        match path.strip("/").split("/"):
            case ["now"]:
                said = self.now
            case ["dead", "redrive" | "discard"]:
                said = DeadOutcome(letters=len(self.dead), keys=1)
            case ["dead"]:
                wanted = query.get("consumer", "")
                letters = [whole.letter for whole in self.dead if wanted in ("", whole.letter.consumer)]
                said = DeadPage(items=letters, next=self.page_next, total=len(letters))
            case ["dead", number]:
                said = next((whole for whole in self.dead if str(whole.letter.id) == number), None)
            case ["events"]:
                said = self._page(after=query.get("after", "~"), limit=int(query["limit"]))
            case ["events", event_id]:
                said = self._event(event_id)
            case ["events", event_id, "unmasked"]:
                one = self._event(event_id)
                shown = {"name": "김하늘", "email": "haneul@school.test"}
                said = one and replace(one, unmasked=True, data={**one.data, "pii": shown})
            case ["replays"]:
                said = ReplayList(items=self.replays)
            case ["rebuilds"]:
                said = RebuildList(items=self.rebuilds)
            case ["consumers", _, "pause" | "resume"] | ["replays" | "rebuilds", _]:
                said = {}
        return said

    def _page(self, *, after: str, limit: int) -> EventPage:
        older = [one for one in self.events if one.id < after]
        return EventPage(items=older[:limit], next=older[limit - 1].id if len(older) > limit else None)

    def _event(self, event_id: str) -> StoredEvent | None:
        return next((one for one in self.events if one.id == event_id), None)


@contextlib.asynccontextmanager
async def answering(settings: Settings, *contexts: Context) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for context in contexts:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", context.answer)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, http.listening_socket(settings.socket(context.name))).start()
        yield


def event_id(number: int) -> str:
    """Later for a greater number."""
    return f"01a20ccf-{number:04x}-7000-8000-000000000000"


def consumer(name: str, **changed: object) -> ConsumerNow:
    given: dict[str, object] = {
        "name": name,
        "source": name.rpartition("-")[2],
        "broker": "pgmq",
        "waiting": 3,
        "oldest_seconds": 0.4,
        "in_flight": 1,
        "rate": 6.4,
        "failing": 0,
        "dead": 0,
        "parked": 0,
    }
    return ConsumerNow(**given | changed)  # type: ignore[arg-type]  # the names are data


def letter(number: int, **changed: object) -> DeadLetter:
    given: dict[str, object] = {
        "id": number,
        "consumer": "learning-from-iam",
        "key": PERSON,
        "event_id": event_id(number),
        "type": "banyan.iam.profile-changed.v1",
        "state": DeadState.FAILED,
        "attempts": 10,
        "error": "UniqueViolationError: duplicate key value violates unique constraint",
        "at": datetime.now(UTC) - timedelta(minutes=number),
        "behind": 2,
    }
    return DeadLetter(**given | changed)  # type: ignore[arg-type]  # the names are data


def whole(one: DeadLetter, *, body: str | None = None, traceback: str = "") -> WholeDeadLetter:
    envelope = {
        "specversion": "1.0",
        "id": one.event_id,
        "type": one.type,
        "subject": one.key,
        "requestid": "7d1f8a52-aa",
        "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01",
        "data": {"account_id": one.key, "pii": {"name": MASK, "email": MASK}},
    }
    said = 'Traceback (most recent call last):\n  File "consumers.py", line 40, in on_profile_changed\n' + one.error
    return WholeDeadLetter(letter=one, traceback=traceback or said, body=body or json.dumps(envelope))


def stored(number: int, source: str, kind: str, **data: object) -> StoredEvent:
    return StoredEvent(
        id=event_id(number),
        type=f"banyan.{source}.{kind}",
        source=source,
        key=PERSON,
        at=datetime(2026, 11, 24, 3, 12, 9, number * 1000, tzinfo=UTC),
        position=number,
        request_id="7d1f8a52-aa",
        traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
        data=data,
    )


def calm() -> tuple[Context, Context, Context]:
    """iam, learning and live, when all is well and somebody was there."""
    days = ["2026-11-22", "2026-11-23", "2026-11-24"]
    iam = Context(
        "iam", MessagingNow(context="iam", consumers=[], outbox=OutboxNow(waiting=0, oldest_seconds=0.0), days=days)
    )
    learning = Context(
        "learning",
        MessagingNow(
            context="learning",
            consumers=[consumer("learning-from-iam", handles=["banyan.iam.profile-changed.v1"])],
            outbox=OutboxNow(waiting=2, oldest_seconds=0.1),
            days=days,
            archived_days=12,
        ),
    )
    heard = [consumer("live-from-learning", handles=["banyan.learning.student-enrolled.v1"])]
    live = Context("live", MessagingNow(context="live", consumers=heard))
    pii = {"name": MASK, "email": MASK}
    iam.events = [stored(9, "iam", "profile-changed.v1", account_id=PERSON, pii=pii)]
    learning.events = [stored(n, "learning", "student-enrolled.v1", course_id="c", student_id="s") for n in (8, 7)]
    return iam, learning, live


def troubled() -> tuple[Context, Context, Context]:
    """One key is stuck, one consumer is paused, and work is under way."""
    iam, learning, live = calm()
    parked = [letter(n, state=DeadState.PARKED, attempts=0, error="", behind=0) for n in (4, 5)]
    strange = letter(
        6, key="nobody", type="banyan.iam.account-frozen.v2", state=DeadState.UNKNOWN, behind=0, attempts=0
    )
    learning.dead = [whole(one) for one in (letter(3), *parked, strange)]
    learning.now = replace(
        learning.now, consumers=[replace(learning.now.consumers[0], dead=2, parked=2, failing=1, waiting=418)]
    )
    since = datetime.now(UTC) - timedelta(seconds=90)
    live.now = replace(live.now, consumers=[replace(live.now.consumers[0], paused_at=since, paused_by="cli")])
    learning.replays = [
        Replay(
            id="r1",
            source="learning",
            state=WorkState.RUNNING,
            total=90_000,
            done=45_000,
            rate=1_000,
            consumer="live-from-learning",
            started_at=since,
        )
    ]
    live.rebuilds = [
        Rebuild(id="b1", consumer="live-from-learning", state=WorkState.RUNNING, total=0, done=812, started_at=since)
    ]
    return iam, learning, live
