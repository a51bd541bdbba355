"""What is said about replicas: how one stands, and what a promotion is to do and has done."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Look:
    """What a primary said of its replica. `position` and `behind` are bytes of its log; `lost` means that the replica
    can never catch up, because the primary no longer keeps what it misses."""

    at: datetime
    position: int
    streaming: bool
    synchronous: bool
    behind: int | None = None
    seconds: float = 0.0
    lost: bool = False

    def as_words(self) -> str:
        how = "synchronous" if self.synchronous else "asynchronous"
        return f"{how}, {sized(self.behind)} behind" if self.behind is not None else how


@dataclass(frozen=True, slots=True)
class Order:
    """A promotion that nobody may forget. `fenced` is the name that the old primary's folder gets; `look` the last one
    at both."""

    at: datetime
    fenced: str
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a promotion found. `received` is the end of the replica's log, `rescued` the transactions after it that
    were still to be read in the old primary's folder; None: nothing could be read there. `lost` are bytes of the log
    that were known to be missing, `seconds` how long it took, `republished` the
    events that were told once more because of a loss."""

    seconds: float
    timeline: int
    received: int
    rescued: int | None
    lost: int
    synchronous: bool
    looked_before: float | None
    fenced: str | None
    republished: int | None = None

    @property
    def may_have_lost(self) -> bool:
        return self.rescued is None and not self.synchronous


def sized(count: int) -> str:
    """Bytes for a person; what is written and read within a moment is no lag."""
    if count < 1_048_576:
        return "less than 1 MB" if count > 65_536 else "nothing"
    return f"{count / 1_048_576:,.0f} MB"


def as_text(position: int) -> str:
    """A position in PostgreSQL's log as it writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def from_text(text: str) -> int:
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


@dataclass(frozen=True, slots=True)
class Copying:
    """How far a copy is, in bytes; `fault` says why one failed."""

    phase: str
    done: int
    total: int | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ServerNow:
    """A server and its replica. States are the supervisor's; `replica` is None where there is none."""

    name: str
    databases: list[str]
    ours: bool
    state: str
    replica: str | None = None
    detail: str = ""
    wished_synchronous: bool = False
    look: Look | None = None
    copying: Copying | None = None
    busy: str = ""
