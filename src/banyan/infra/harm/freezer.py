"""Stops a process and all its descendants, and lets them go on. Run as a script with nothing but the standard library.

Arguments: the process, its start ticks, for how many seconds in all, and how long each stop and each run between two
stops lasts. Standard input is a pipe that only the supervisor holds open: its end is the end of the fault, so that
nobody stays stopped when the supervisor is killed. Says `frozen` as soon as everybody is.
"""

import contextlib
import os
import select
import signal
import sys
import time


def main(root: int, ticks: int, seconds: float, stop: float, run: float) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe's end is what counts
    deadline = time.monotonic() + seconds
    frozen: dict[int, int] = {}
    try:
        while start_ticks(root) == ticks and (left := deadline - time.monotonic()) > 0:
            freeze(root, frozen)
            print("frozen", *(f"{pid}:{born}" for pid, born in frozen.items()), flush=True)
            over = waited(min(stop, left), root, ticks)
            thaw(frozen)
            if over or waited(min(run, deadline - time.monotonic()), root, ticks):
                return
    finally:
        thaw(frozen)


def waited(seconds: float, root: int, ticks: int) -> bool:
    """Whether the supervisor, or whom we stopped, has gone within so many seconds."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([0], [], [], min(left, 0.25))[0] and not os.read(0, 1):
            return True
        if start_ticks(root) != ticks:
            return True
    return False


def freeze(root: int, frozen: dict[int, int]) -> None:
    """The parent first; then nobody is born any more."""
    frozen.clear()
    while new := {pid: start_ticks(pid) for pid in family(root) if pid not in frozen}:
        frozen |= new
        for pid in new:
            send(pid, signal.SIGSTOP)


def thaw(frozen: dict[int, int]) -> None:
    """Everybody who was stopped, even when the parent has died meanwhile and they are nobody's children now."""
    for pid, ticks in frozen.items():
        if start_ticks(pid) == ticks:
            send(pid, signal.SIGCONT)


def family(root: int) -> list[int]:
    """A process and its descendants, itself first: a database's sessions are groups of their own."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (fields := stat(int(entry))):
            children.setdefault(int(fields[1]), []).append(int(entry))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def start_ticks(pid: int) -> int:
    fields = stat(pid)
    return int(fields[19]) if fields and fields[0] != b"Z" else -1


def stat(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rsplit(b")", 1)[1].split()
    except (OSError, IndexError):
        return []


def send(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.kill(pid, number)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:6]))
