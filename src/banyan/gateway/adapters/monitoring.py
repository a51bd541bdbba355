"""What monitor said last. It is asked once a second however many look, not at all when nobody does, and what it said
outlives it."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from banyan.clients.monitor import MonitorClient
from banyan.contracts.monitor import AlertPage, Arrow, LogPage, Now, Trace, TraceList
from banyan.infra.http_client import ServiceAway, ServiceRefused

T = TypeVar("T")

_A_SECOND = 0.9  # so that whoever looks once a second is never one look late
_REMEMBERED = 64
_KEPT = timedelta(minutes=5)
_LINE_KEPT = 600.0


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """`value` is as of `at`; None for what was never known. `away`: monitor did not answer the last time."""

    value: T | None
    at: datetime | None
    away: bool


class Monitoring:
    def __init__(self, client: MonitorClient) -> None:
        self._client = client
        self._memory: OrderedDict[tuple[object, ...], _Memory] = OrderedDict()
        self._arrows: dict[tuple[str, ...], tuple[float, Arrow]] = {}
        self._lags: deque[tuple[datetime, dict[tuple[str, str], int]]] = deque()

    async def now(self) -> Known[Now]:
        known = await self._know(("now",), self._client.now, age=_A_SECOND)
        if known.value is not None and not known.away:
            self._note(known.value)
        return known

    async def alerts(self) -> Known[AlertPage]:
        return await self._know(("alerts",), self._client.alerts, age=_A_SECOND)

    async def traces(self, *, process: str, errors: bool, request_id: str, limit: int) -> Known[TraceList]:
        return await self._know(
            ("traces", process, errors, request_id, limit),
            lambda: self._client.traces(process=process, errors=errors, request_id=request_id, limit=limit),
            age=3 * _A_SECOND,
        )

    async def trace(self, trace_id: str) -> Known[Trace]:
        """Raises ServiceRefused for one that is not kept."""
        return await self._know(("trace", trace_id), lambda: self._client.trace(trace_id), age=_A_SECOND)

    async def logs(
        self, *, q: str, process: str, level: str, request_id: str, after: str | None, limit: int
    ) -> Known[LogPage]:
        """Raises ServiceRefused for a cursor that is none."""
        return await self._know(
            ("logs", q, process, level, request_id, after, limit),
            lambda: self._client.logs(
                q=q, process=process, level=level, request_id=request_id, after=after, limit=limit
            ),
            age=2 * _A_SECOND,
        )

    def arrows(self) -> list[Arrow]:
        """The last ones, and with no rate those that were there a while ago: a line that comes and goes with the
        traffic would move all the others."""
        since = time.monotonic() - _LINE_KEPT
        self._arrows = {key: kept for key, kept in self._arrows.items() if kept[0] > since}
        return [arrow for _, arrow in self._arrows.values()]

    def waiting(self, consumer: str, source: str) -> list[tuple[datetime, float | None]]:
        """How much waited for a consumer, at each look of the last five minutes."""
        return [(at, lags.get((consumer, source))) for at, lags in self._lags]

    async def close(self) -> None:
        await self._client.close()

    def _note(self, now: Now) -> None:
        if self._lags and self._lags[-1][0] >= now.at:
            return
        self._lags.append((now.at, {(lag.consumer, lag.source): lag.waiting for lag in now.lags}))
        while self._lags[0][0] < now.at - _KEPT:
            self._lags.popleft()
        seen = time.monotonic()
        self._arrows = {
            key: (at, Arrow(arrow.source, arrow.target, arrow.kind, arrow.label))
            for key, (at, arrow) in self._arrows.items()
        }
        for arrow in now.arrows:
            self._arrows[arrow.source, arrow.target, arrow.kind, arrow.label] = (seen, arrow)

    async def _know(self, key: tuple[object, ...], ask: Callable[[], Awaitable[T]], *, age: float) -> Known[T]:
        memory = self._memory.setdefault(key, _Memory())
        self._memory.move_to_end(key)
        while len(self._memory) > _REMEMBERED:
            self._memory.popitem(last=False)
        async with memory.lock:
            if time.monotonic() - memory.asked_at >= age:
                try:
                    memory.value = await ask()
                    memory.at, memory.away = datetime.now(UTC), False
                except ServiceAway:
                    memory.away = True
                except ServiceRefused as refusal:
                    if refusal.status != 404 or key[0] == "trace":
                        raise
                    memory.away = True  # a monitor that does not know the question yet
                finally:
                    memory.asked_at = time.monotonic()
        return Known(memory.value, memory.at, memory.away)


class _Memory:
    def __init__(self) -> None:
        self.value: Any = None  # what `ask` of its key answers
        self.at: datetime | None = None
        self.away = False
        self.asked_at = float("-inf")
        self.lock = asyncio.Lock()
