"""How many in a second, of the last ten."""

import time
from collections.abc import Callable

_SECONDS = 10


class Rate:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts = dict[int, int]()

    def note(self) -> None:
        now = int(self._clock())
        if now not in self._counts:
            self._counts = {second: count for second, count in self._counts.items() if second > now - _SECONDS - 1}
        self._counts[now] = self._counts.get(now, 0) + 1

    def per_second(self) -> float:
        """The second that is not over yet does not count."""
        now = int(self._clock())
        return sum(count for second, count in self._counts.items() if now - _SECONDS <= second < now) / _SECONDS
