"""What was seen of the running system at one look, before anything is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from banyan.contracts.monitor import Disk
from banyan.monitor.domain.meters import Count

Kind = Literal["postgres", "envoy", "process"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A process or database server, as the supervisor or its own socket tells. `wanted` are those of its restarts
    that somebody asked for, `ended` says why a part of it or the process before it ended."""

    name: str
    kind: Kind
    state: str
    since: datetime
    restarts: int = 0
    wanted: int = 0
    ended: str = ""
    detail: str = ""
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Everybody:
    """`epoch` names the run of the supervisor that counts the restarts, `pid` is its; None without one."""

    processes: list[Seen]
    epoch: datetime | None = None
    ready: bool = True
    pid: int | None = None

    @property
    def supervised(self) -> bool:
        return self.epoch is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and its children, since it started; `wanted_seconds` are those of the processor that it had or
    waited for, `may_write` whether its limits let it write a file at all."""

    memory_bytes: int
    cpu_seconds: float
    wanted_seconds: float = 0.0
    may_write: bool = True


@dataclass(frozen=True, slots=True)
class Cluster:
    """What Envoy counts of one route on one side. `target` is who answers."""

    target: str
    count: Count


@dataclass(frozen=True, slots=True)
class Machine:
    usage: Mapping[str, Usage] = field(default_factory=dict)
    disk: Disk | None = None
