"""What the supervisor knows, as a file: read by `status`, the health page, the console and the guardian."""

import fcntl
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from banyan.infra.settings import Settings

Kind = Literal["postgres", "envoy", "process"]
State = Literal["starting", "ready", "backoff", "failing", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class ChildState:
    """`ticks` is the kernel's start time of `pid` (0 where unknown): together they name a process for good.
    `stop_signal` is how this child is asked to stop, `version` that of the software it runs, `ended` why the process
    before this one (or a session of a database server) ended, which `detail` forgets as soon as all is well, `wanted`
    how many of its restarts somebody asked for."""

    name: str
    kind: Kind
    state: State
    since: datetime
    pid: int | None = None
    ticks: int = 0
    restarts: int = 0
    detail: str = ""
    stop_signal: int = 15
    version: str = ""
    wanted: int = 0
    ended: str = ""


@dataclass(frozen=True, slots=True)
class SupervisorState:
    pid: int
    ticks: int
    url: str
    version: str
    started_at: datetime
    ready: bool
    demo: bool = False
    processes: list[ChildState] = field(default_factory=list)


def path(settings: Settings) -> Path:
    return settings.run / "state.json"


def write(settings: Settings, state: SupervisorState) -> None:
    draft = path(settings).with_suffix(".tmp")
    draft.write_bytes(msgspec.json.encode(state))
    draft.rename(path(settings))


def read(settings: Settings) -> SupervisorState | None:
    """The last state written, whether or not that supervisor still lives."""
    try:
        return msgspec.json.decode(path(settings).read_bytes(), type=SupervisorState)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def read_living(settings: Settings) -> SupervisorState | None:
    """The state of the supervisor that runs now on this data folder, if one does."""
    state = read(settings)
    return state if state is not None and is_alive(state.pid, state.ticks) else None


def start_ticks(pid: int) -> int:
    """When the kernel started that process, in clock ticks since boot; 0 where /proc does not tell."""
    try:
        # The command name, in parentheses, may itself hold spaces and parentheses.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def is_alive(pid: int, ticks: int) -> bool:
    """Whether that very process lives; a pid that was given to another program since does not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return ticks == start_ticks(pid)
    return (not ticks or ticks == start_ticks(pid)) and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[0] == b"Z"
    except (OSError, IndexError):
        return False


class AlreadyRunning(Exception):
    """Banyan already runs on this data folder, or a restore is at it."""


RESTORING = "restoring"  # in a data folder that a restore has not finished


def refuse_half_restored(settings: Settings) -> None:
    """Raises AlreadyRunning where what would be started might take a part for the whole, or be in a restore's way."""
    if (settings.data / RESTORING).exists():
        raise AlreadyRunning(
            f"A restore into {settings.data} is under way, or was cut off. Run `banyan restore` again; it begins anew."
        )


class DataFolderLock:
    """Held by the supervisor for its life; the kernel gives it back however the supervisor ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._descriptor = os.open(settings.data / "lock", os.O_RDWR | os.O_CREAT, 0o600)

    def take(self, *, restoring: bool = False) -> None:
        """Raises AlreadyRunning, naming who holds it; for a folder that is half restored, too, but to a restore."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = read(self._settings)
            whose = f" (process {other.pid}, {other.url})" if other else ""
            raise AlreadyRunning(
                f"Banyan already runs on {self._settings.data}{whose}. "
                "Stop it with `banyan stop`, or choose another folder with --data."
            ) from None
        if not restoring:
            refuse_half_restored(self._settings)

    def close(self) -> None:
        os.close(self._descriptor)
