"""How a consumer goes about it."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much at once and how patiently; seconds."""

    seats: int = 64  # events borrowed from the broker at most
    lanes: int = 4  # of them, handled at the same time; each takes a connection of the consumer's database
    together: int = 16  # of one lane, handled in one transaction
    hold: float = 10.0  # after a kill -9 events come back this late
    handling: float = 20.0
    poll: float = 0.5
    first_retry: float = 0.2
    longest_retry: float = 30.0
    stopping: float = 5.0

    def retry_after(self, attempts: int) -> float:
        longest = min(self.longest_retry, self.first_retry * 2.0 ** min(attempts - 1, 16))
        return longest * random.uniform(0.5, 1)  # noqa: S311 # jitter
