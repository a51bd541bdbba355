"""The machine: what it is, how busy it is, and what processes on it cost. Read from /proc."""

import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Machine:
    cpu: str
    cores: int
    memory_gib: float
    kernel: str


def this_machine() -> Machine:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return Machine(
        cpu=models[0].partition(":")[2].strip() if models else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=int(total.split()[1]) / 1024**2,
        kernel=platform.release(),
    )


def load_average() -> float:
    """Of the last minute."""
    return os.getloadavg()[0]


def busy_share(seconds: float) -> float:
    """How much of the machine others use while we sleep: 0 to 1. What the hypervisor takes away counts, too."""
    before = _cpu_times()
    time.sleep(seconds)
    after = _cpu_times()
    spent = [late - early for early, late in zip(before, after, strict=True)]
    idle = spent[3] + spent[4]  # idle, and waiting for a disk
    return 1 - idle / sum(spent) if sum(spent) else 0.0


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes, their children now and their children that ended have used, user and system."""
    return sum(_ticks(pid) for pid in with_descendants(pids)) / _TICKS


def pss_mib(pids: Iterable[int]) -> float:
    """Their memory with shared pages divided among their users, children included."""
    total = 0
    for pid in with_descendants(pids):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:  # it has ended, or is somebody else's
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def with_descendants(pids: Iterable[int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))):
            children.setdefault(int(stat[1]), []).append(int(entry))
    found: dict[int, None] = {}  # a set that keeps parents before their children
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = None
            waiting.extend(children.get(pid, ()))
    return list(found)


def _ticks(pid: int) -> int:
    stat = _stat(pid)
    return sum(int(field) for field in stat[11:15]) if stat else 0


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the state on: the name before may hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return []


def _cpu_times() -> list[int]:
    first = Path("/proc/stat").read_text().splitlines()[0]
    return [int(field) for field in first.split()[1:9]]
