"""What topics and queues are called at AWS, and which group of a queue an event belongs to."""

import hashlib
import re
from dataclasses import dataclass

_LONGEST_QUEUE = 80  # of AWS; with ".fifo"
_LONGEST_TOPIC = 256
_GROUP = re.compile(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}")  # letters, digits and ASCII punctuation


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Of one installation; two of them in one account have different prefixes."""

    prefix: str
    fifo: bool

    def topic(self, source: str) -> str:
        """Of the context that tells: `banyan-iam.fifo`."""
        return self._fit(source, _LONGEST_TOPIC)

    def queue(self, queue: str) -> str:
        """Of the queue `learning_from_iam`: `banyan-learning-from-iam.fifo`."""
        return self._fit(queue.replace("_", "-"), _LONGEST_QUEUE)

    def dead(self, queue: str) -> str:
        """Where that queue's events go when they were lent too often: `banyan-learning-from-iam-dead.fifo`."""
        return self._fit(f"{queue.replace('_', '-')}-dead", _LONGEST_QUEUE)

    def of_the_other_kind(self) -> "Names":
        return Names(prefix=self.prefix, fifo=not self.fifo)

    def is_ours(self, name: str) -> bool:
        return name.startswith(f"{self.prefix}-") and name.endswith(".fifo") is self.fifo

    def _fit(self, rest: str, most: int) -> str:
        ending = ".fifo" if self.fifo else ""
        name = f"{self.prefix}-{rest}"
        room = most - len(ending)
        if len(name) > room:
            name = f"{name[: room - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return name + ending


def group(key: str) -> str:
    """The message group of a key. AWS takes neither every character in one nor every length."""
    return key if _GROUP.fullmatch(key) else f"sha256-{hashlib.sha256(key.encode()).hexdigest()}"
