"""How a consumer goes about it."""

import random
from dataclasses import dataclass

_DAY = 86_400.0
INBOX_DAYS = 7.0
"""So much longer than events are stored an inbox remembers them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much at once and how patiently; seconds."""

    seats: int = 128  # events borrowed from the broker at most
    lanes: int = 4  # of them, handled at the same time; each takes a connection of the consumer's database
    together: int = 16  # of one lane, handled in one transaction
    hold: float = 10.0  # after a kill -9 events come back this late
    handling: float = 20.0
    poll: float = 0.5
    wait: float = 2.0  # for the first event, where the broker itself can wait
    first_retry: float = 0.2
    longest_retry: float = 30.0
    stopping: float = 5.0
    attempts: int = 8  # then it goes to the dead letters
    horizon: float = 97 * _DAY  # what is older may have been forgotten by the inbox

    @property
    def deliveries(self) -> int:
        """An event that came so often without an end ends those who handle it."""
        return 5 * self.attempts

    def retry_after(self, attempts: int) -> float:
        longest = min(self.longest_retry, self.first_retry * 2.0 ** min(attempts - 1, 16))
        return longest * random.uniform(0.5, 1)  # noqa: S311 # jitter


def horizon_of(retention_days: float) -> float:
    """How long an inbox remembers what events are stored for so many days."""
    return (retention_days + INBOX_DAYS) * _DAY
