"""What this process remembers of events that it gave back: how often each failed, and how often it merely came."""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from uuid import UUID

MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Past:
    key: str
    failed: int = 0
    returned: int = 0


class Failures:
    """Bounded: of too many, the eldest begin anew."""

    def __init__(self, *, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._past: OrderedDict[UUID, _Past] = OrderedDict()
        self._failing: Counter[str] = Counter()  # by key

    def fail(self, event_id: UUID, key: str) -> int:
        """It failed once more; answers how often that makes."""
        past = self._of(event_id, key)
        past.failed += 1
        if past.failed == 1:
            self._failing[key] += 1
        return past.failed

    def give_back(self, event_id: UUID, key: str) -> None:
        """A delivery of it has come to an end, whatever kind of end."""
        self._of(event_id, key).returned += 1

    def returned(self, event_id: UUID) -> int:
        past = self._past.get(event_id)
        return past.returned if past is not None else 0

    def is_failing(self, key: str) -> bool:
        return key in self._failing

    def forget(self, event_id: UUID) -> None:
        """It is handled, or in the dead letters."""
        self._drop(self._past.pop(event_id, None))

    @property
    def failing(self) -> int:
        """How many events failed the last time."""
        return sum(self._failing.values())

    def _of(self, event_id: UUID, key: str) -> _Past:
        past = self._past.get(event_id)
        if past is None:
            past = self._past[event_id] = _Past(key)
            if len(self._past) > self._most:
                self._drop(self._past.popitem(last=False)[1])
        self._past.move_to_end(event_id)
        return past

    def _drop(self, past: _Past | None) -> None:
        if past is not None and past.failed:
            self._failing[past.key] -= 1
            if not self._failing[past.key]:
                del self._failing[past.key]
