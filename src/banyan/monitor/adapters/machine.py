"""Memory and processor time from /proc, and the disk below the data folder."""

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from banyan.contracts.monitor import Disk
from banyan.infra import proc
from banyan.infra.settings import Settings
from banyan.infra.supervisor.sockets import processes_with_sockets
from banyan.monitor.domain.picture import SUPERVISOR
from banyan.monitor.domain.sights import Everybody, Machine, Usage

_TICKS = os.sysconf("SC_CLK_TCK")
_PEER_CREDENTIALS = 12  # pid, uid and gid as 32-bit numbers
_SHARED_EVERY = 10.0
_DEEPEST = 5
_NO_FILES = re.compile(rb"^Max file size +0 ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Weighed:
    """Resident memory counts shared pages for each who shares them; the fair share (PSS) takes the kernel long to
    tell, so it is asked now and then, and what has been added since is added."""

    at: float
    pids: frozenset[int]
    shared: int
    resident: int


class Scales:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._weighed: dict[str, _Weighed] = {}

    def weigh(self, everybody: Everybody) -> Machine:
        """Reads many small files of the kernel's, so in a thread."""
        if everybody.supervised:
            pids = {seen.name: seen.pid for seen in everybody.processes if seen.pid}
        else:
            pids = _listeners(self._settings)
        families = {name: _family(pid) for name, pid in pids.items()}
        if everybody.pid is not None:
            # Itself and its helpers; nothing that has a name of its own.
            families[SUPERVISOR] = _family(everybody.pid, without=frozenset(pids.values()))
        found = {name: self._usage(name, family) for name, family in families.items()}
        usage = {name: value for name, value in found.items() if value is not None}
        return Machine(usage, _disk(self._settings.data))

    def _usage(self, name: str, family: list[int]) -> Usage | None:
        pid = family[0]
        ticks = [_processor_ticks(member, with_ended=member == pid and name != SUPERVISOR) for member in family]
        resident = sum(proc.resident(member) for member in family)
        if not resident:
            return None
        known = self._weighed.get(name)
        now = time.monotonic()
        if known is None or known.pids != frozenset(family) or now - known.at > _SHARED_EVERY:
            known = _Weighed(now, frozenset(family), _fair_share(family) or resident, resident)
            self._weighed[name] = known
        spent = sum(ticks) / _TICKS
        memory = max(0, known.shared + resident - known.resident)
        return Usage(memory, spent, _wanted(family) or spent, _may_write(pid))


def _family(pid: int, depth: int = 0, *, without: frozenset[int] = frozenset()) -> list[int]:
    """A process and its children's children: those of PostgreSQL leave its process group."""
    family = [pid]
    if depth < _DEEPEST:
        for child in proc.children(pid):
            if child not in without:
                family += _family(child, depth + 1)
    return family


def _processor_ticks(pid: int, *, with_ended: bool) -> int:
    """User and system time; with that of children that have ended, so that the sum does not shrink."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return 0
    return sum(int(field) for field in fields[11 : 15 if with_ended else 13])


def _wanted(pids: Iterable[int]) -> float:
    """Seconds for which threads ran or would have run, had the others let them; 0 where the kernel does not tell."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                with contextlib.suppress(OSError, IndexError, ValueError):
                    ran, waited, _ = Path(f"/proc/{pid}/task/{thread}/schedstat").read_bytes().split()
                    total += int(ran) + int(waited)
    return total / 1e9


def _may_write(pid: int) -> bool:
    """False where the kernel lets it write no byte of a file."""
    try:
        return _NO_FILES.search(Path(f"/proc/{pid}/limits").read_bytes()) is None
    except OSError:
        return True


def _fair_share(pids: Iterable[int]) -> int | None:
    """None where the kernel does not let us know of all of them."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
            total += int(text.partition(b"\nPss:")[2].split(maxsplit=1)[0]) * 1024
        except FileNotFoundError:
            continue
        except (OSError, IndexError, ValueError):
            return None
    return total


def _listeners(settings: Settings) -> dict[str, int]:
    """Who listens on which socket, as the kernel knows it; 0 for a process that lives in another world of pids."""
    found: dict[str, int] = {}
    for name, path in processes_with_sockets(settings).items():
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(0.1)
            line.connect(str(path))
            who = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS)
            pid = int.from_bytes(who[:4], "little", signed=True)
            if pid > 0:
                found[name] = pid
    return found


def _disk(folder: Path) -> Disk | None:
    try:
        known = os.statvfs(folder)
    except OSError:
        return None
    return Disk(str(folder), known.f_blocks * known.f_frsize, known.f_bavail * known.f_frsize)
