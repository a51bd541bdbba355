"""What the pages about events show: who is how far, what is dead, what is being told again, and what has happened."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from banyan.contracts.messaging import (
    ConsumerNow,
    DeadLetter,
    DeadPage,
    DeadState,
    MessagingNow,
    Rebuild,
    RebuildList,
    Replay,
    ReplayList,
    WorkState,
)
from banyan.contracts.monitor import Lag, Now
from banyan.gateway.adapters.messaging import CONTEXTS, TELLING, Messaging
from banyan.gateway.adapters.monitoring import Known, Monitoring
from banyan.gateway.http.console import charts
from banyan.gateway.http.console.figures import clock
from banyan.infra.http_client import ServiceAway

Values = dict[str, Any]

LETTERS_SHOWN = 100
_LONGEST_WORDS = 200
_ENDED_SHOWN = timedelta(minutes=10)
_MOST_ENDED = 5


@dataclass(frozen=True, slots=True)
class Hearing:
    """A consumer: as its process tells it, or, where that does not answer, only what monitor saw of it."""

    context: str
    name: str
    source: str
    now: ConsumerNow | None
    lag: Lag | None
    line: charts.Line

    @property
    def waiting(self) -> int | None:
        if self.now is not None and self.now.waiting is not None:
            return self.now.waiting
        return self.lag.waiting if self.lag is not None else None

    @property
    def oldest_seconds(self) -> float | None:
        if self.now is not None and self.now.oldest_seconds is not None:
            return self.now.oldest_seconds
        return self.lag.oldest_seconds if self.lag is not None else None


@dataclass(frozen=True, slots=True)
class Telling:
    """A context that tells: how much of it is not published yet, and the days that its store has."""

    context: str
    known: Known[MessagingNow]
    line: charts.Line


@dataclass(frozen=True, slots=True)
class Work:
    """A replay or a rebuild. `left` is seconds at the pace so far, None where that cannot be told."""

    kind: str
    context: str
    id: str
    consumer: str
    state: WorkState
    total: int
    done: int
    per_second: float
    left: float | None
    started_at: datetime
    ended_at: datetime | None
    detail: str

    @property
    def runs(self) -> bool:
        return self.state is WorkState.RUNNING


@dataclass(slots=True)
class Stuck:
    """A key that a consumer cannot go on with: what is at fault, and how many wait behind it."""

    context: str
    consumer: str
    key: str
    at_fault: list[DeadLetter] = field(default_factory=list)
    seen_parked: int = 0

    @property
    def parked(self) -> int:
        """Not all of them need be on the same page."""
        return max(self.seen_parked, *(letter.behind for letter in self.at_fault), 0)

    @property
    def redriving(self) -> bool:
        return any(letter.redriving for letter in self.at_fault)


@dataclass(frozen=True, slots=True)
class Deaths:
    """The dead letters of one context."""

    context: str
    known: Known[DeadPage]
    stuck: list[Stuck]

    @property
    def next(self) -> str:
        return (self.known.value.next or "") if self.known.value else ""

    @property
    def consumers(self) -> list[str]:
        return sorted({one.consumer for one in self.stuck})


@dataclass(frozen=True, slots=True)
class Toll:
    """What waits for somebody in all contexts together."""

    dead: int = 0
    parked: int = 0
    consumers: tuple[str, ...] = ()


class Events:
    def __init__(self, monitoring: Monitoring, messaging: Messaging) -> None:
        self._monitoring = monitoring
        self._messaging = messaging

    async def toll(self) -> Toll:
        consumers = [
            one
            for known in (await self._messaging.now()).values()
            if known.value and not known.away
            for one in known.value.consumers
        ]
        return Toll(
            dead=sum(one.dead for one in consumers),
            parked=sum(one.parked for one in consumers),
            consumers=tuple(sorted(one.name for one in consumers if one.dead)),
        )

    async def now(self, query: Mapping[str, str]) -> Values:
        seen, told, replays, rebuilds = await asyncio.gather(
            self._monitoring.now(), self._messaging.now(), self._messaging.replays(), self._messaging.rebuilds()
        )
        now = datetime.now(UTC)
        return {
            **self._flow(seen.value, now),
            "hearing": self._hearing(told, seen.value.lags if seen.value else [], now),
            "telling": [
                Telling(name, told[name], charts.small(self._monitoring.waiting("relay", name), now=now))
                for name in TELLING
            ],
            "away": [(name, known) for name, known in told.items() if known.away],
            "work": work(replays, rebuilds, now=now),
        }

    async def dead(self, query: Mapping[str, str]) -> Values:
        consumer, context = (query.get(name, "")[:_LONGEST_WORDS] for name in ("consumer", "context"))
        after = query.get("after", "")[:_LONGEST_WORDS]
        if after and context in CONTEXTS:
            pages = {context: await self._older_dead(context, consumer=consumer, after=after)}
        else:
            after = ""
            pages = await self._messaging.dead(consumer=consumer, limit=LETTERS_SHOWN)
        return {
            "deaths": [
                Deaths(name, known, stuck(name, known.value.items if known.value else []))
                for name, known in pages.items()
            ],
            "consumer": consumer,
            "after": after,
        }

    async def _older_dead(self, context: str, *, consumer: str, after: str) -> Known[DeadPage]:
        """Raises ServiceRefused for a cursor that is none."""
        try:
            found = await self._messaging.of(context).dead(consumer=consumer, after=after, limit=LETTERS_SHOWN)
        except ServiceAway:
            return Known(None, None, away=True)
        return Known(found, datetime.now(UTC), away=False)

    def _flow(self, seen: Now | None, now: datetime) -> Values:
        points = seen.events if seen else []
        return {
            "per_second": charts.chart(
                {
                    "published": [(point.at, point.published) for point in points],
                    "handled": [(point.at, point.handled) for point in points],
                },
                now=now,
                clock=clock,
            ),
            "waiting": charts.chart(
                {"waiting": [(point.at, float(point.waiting)) for point in points]}, now=now, clock=clock
            ),
        }

    def _hearing(self, told: Mapping[str, Known[MessagingNow]], lags: Sequence[Lag], now: datetime) -> list[Hearing]:
        seen = {lag.consumer: lag for lag in lags if lag.consumer != "relay"}
        found = {}
        for context, known in told.items():
            for one in known.value.consumers if known.value else []:
                found[one.name] = (context, one.source, None if known.away else one)
        for lag in seen.values():
            found.setdefault(lag.consumer, (lag.consumer.partition("-from-")[0], lag.source, None))
        return [
            Hearing(
                context,
                name,
                source,
                one,
                seen.get(name),
                charts.small(self._monitoring.waiting(name, source), now=now),
            )
            for name, (context, source, one) in sorted(found.items())
        ]


def stuck(context: str, letters: Iterable[DeadLetter]) -> list[Stuck]:
    """By consumer and key, in the order in which they came."""
    found: dict[tuple[str, str], Stuck] = {}
    for letter in letters:
        one = found.setdefault((letter.consumer, letter.key), Stuck(context, letter.consumer, letter.key))
        if letter.state is DeadState.PARKED:
            one.seen_parked += 1
        else:
            one.at_fault.append(letter)
    return sorted(found.values(), key=lambda one: one.consumer)


def work(
    replays: Mapping[str, Known[ReplayList]], rebuilds: Mapping[str, Known[RebuildList]], *, now: datetime
) -> list[Work]:
    """What runs, the newest first, and below it what has just ended."""
    found = [
        *(_work("replay", context, one, now) for context, one in _of_each(replays)),
        *(_work("rebuild", context, one, now) for context, one in _of_each(rebuilds)),
    ]
    found.sort(key=lambda one: one.started_at, reverse=True)
    ended = [one for one in found if not one.runs and one.ended_at is not None and one.ended_at > now - _ENDED_SHOWN]
    return [*(one for one in found if one.runs), *ended[:_MOST_ENDED]]


def _of_each(told: Mapping[str, Known[Any]]) -> Iterable[tuple[str, Any]]:
    for context, known in told.items():
        if known.value is not None and not known.away:
            yield from ((context, one) for one in known.value.items)


def _work(kind: str, context: str, one: Replay | Rebuild, now: datetime) -> Work:
    seconds = ((one.ended_at or now) - one.started_at).total_seconds()
    pace = one.done / seconds if seconds > 0 else 0.0
    runs = one.state is WorkState.RUNNING
    return Work(
        kind=kind,
        context=context,
        id=one.id,
        consumer=one.consumer or "",
        state=one.state,
        total=one.total,
        done=min(one.done, one.total) if one.total else one.done,
        per_second=pace,
        left=(one.total - one.done) / pace if runs and pace > 0 and one.total > one.done else None,
        started_at=one.started_at,
        ended_at=one.ended_at,
        detail=one.detail,
    )
