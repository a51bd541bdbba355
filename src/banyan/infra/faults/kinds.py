"""Which faults there are, whom each can befall, and how one is described."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from banyan.infra.settings import Settings
from banyan.kit.errors import Conflict, Forbidden, NotFound, Refused

LONGEST_SECONDS = 600.0
USUAL_SECONDS = 30.0

Kind = Literal["postgres", "envoy", "process"]


class Ailment(StrEnum):
    """What can be wrong with a process."""

    hang = "hang"
    slow = "slow"
    crash = "crash"
    errors = "errors"
    cpu = "cpu"
    memory = "memory"
    disk_full = "disk-full"
    db_hang = "db-hang"


MEANS = {
    Ailment.hang: "it lives and does nothing: its event loop is blocked, or all of it is stopped",
    Ailment.slow: "it waits before each request, or is stopped again and again",
    Ailment.crash: "it is killed with SIGKILL: once, or with --for again and again for so long",
    Ailment.errors: "some of its requests fail, or sessions of a database are ended again and again",
    Ailment.cpu: "threads, sessions or programs beside it take all the CPU they can get",
    Ailment.memory: "it takes more and more memory until its limit stops it",
    Ailment.disk_full: "nothing that it writes to a file is taken",
    Ailment.db_hang: "the server of its database is stopped",
}

_IMPOSSIBLE: dict[tuple[Kind, Ailment], str] = {
    ("envoy", Ailment.errors): "Envoy can be told to fail requests only by another listener; "
    "give `errors` to the process behind it.",
    ("envoy", Ailment.memory): "Envoy cannot be made to take memory from outside.",
    ("envoy", Ailment.db_hang): "envoy has no database.",
}


UNASKED = frozenset({"relay"})
"""Processes that nobody sends requests."""


class FaultsForbidden(Forbidden):
    """Faults can be made in the demo only: start it with `banyan up --demo`."""


class NoSense(Refused):
    """That fault makes no sense for this process; the message says why."""


class NoSuchFault(NotFound):
    """There is no such fault; `banyan fault ls` lists those there are."""


class NotRunning(Conflict):
    """That process does not run just now, so nothing can be wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault of a process. `percent` is of errors, `delay` the seconds of slow, `workers` the number of cpu."""

    process: str
    kind: Ailment
    seconds: float
    percent: float = 50.0
    delay: float = 0.5
    workers: int = 2
    since: datetime | None = None

    @property
    def name(self) -> str:
        return f"{self.process}:{self.kind}"


def check_demo(settings: Settings) -> None:
    """Raises FaultsForbidden outside the demo."""
    if not settings.demo:
        raise FaultsForbidden


def check(fault: Fault, kind: Kind, servers: Sequence[str]) -> None:
    """Raises NoSense. `servers` are those of the process's databases."""
    if (why := impossible(fault.process, kind, servers).get(fault.kind)) is not None:
        raise NoSense(why)
    longest = fault.seconds if math.isfinite(fault.seconds) else math.inf
    if not (0 < longest <= LONGEST_SECONDS or (fault.kind is Ailment.crash and longest == 0)):
        raise NoSense(f"A fault lasts more than 0 and at most {LONGEST_SECONDS:.0f} seconds.")
    if not 0 < fault.percent <= 100:
        raise NoSense("--percent is more than 0 and at most 100.")
    if not 0 < fault.delay <= 60:
        raise NoSense("--delay is more than 0 and at most 60 seconds.")
    if not 1 <= fault.workers <= 16:
        raise NoSense("--workers is 1 to 16.")


def impossible(process: str, kind: Kind, servers: Sequence[str]) -> dict[Ailment, str]:
    """The faults that make no sense for a process, each with the reason."""
    reasons = {ailment: why for (whose, ailment), why in _IMPOSSIBLE.items() if whose == kind}
    if kind == "process" and not servers:
        reasons[Ailment.db_hang] = f"{process} has no database."
    if process in UNASKED:
        reasons[Ailment.errors] = f"{process} is sent no requests that could fail."
    return reasons
