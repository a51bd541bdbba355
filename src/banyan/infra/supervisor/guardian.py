"""Ends what a killed supervisor left behind. Run as a script with nothing but the standard library.

Standard input is a pipe that only the supervisor holds open: its end of file means that the supervisor is gone,
however it went. Then every child in the state file is asked to stop, and killed two seconds later. Children also
carry a parent-death signal where the system has one; this is for the systems and the races where it does not help.
"""

import contextlib
import json
import os
import signal
import sys
import time

GRACE_SECONDS = 2.0


def main(state_path: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1):
        pass
    children = living(state_path)
    for pid, _, stop_signal in children:
        send(pid, stop_signal)
        go_on(pid)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(is_alive(pid, ticks) for pid, ticks, _ in children):
        time.sleep(0.05)
    for pid, ticks, _ in children:
        if is_alive(pid, ticks):
            send(pid, signal.SIGKILL)


def living(state_path: str) -> list[tuple[int, int, int]]:
    """(pid, start ticks, stop signal) of each child that still lives."""
    try:
        with open(state_path, "rb") as file:
            known = json.load(file)["processes"]
    except (OSError, ValueError, KeyError):
        return []
    return [(c["pid"], c["ticks"], c["stop_signal"]) for c in known if c["pid"] and is_alive(c["pid"], c["ticks"])]


def is_alive(pid: int, ticks: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rsplit(b")", 1)[1].split()
        return fields[0] != b"Z" and (not ticks or int(fields[19]) == ticks)
    except FileNotFoundError:
        if os.path.isdir("/proc/self"):
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def go_on(parent: int) -> None:
    """Nobody obeys while stopped, nor do its children, such as a database's sessions, which are groups of their own."""
    send(parent, signal.SIGCONT)
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{int(entry)}/stat", "rb") as file:
            if int(file.read().rsplit(b")", 1)[1].split()[1]) == parent:
                os.kill(int(entry), signal.SIGCONT)


def send(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, number)  # each child leads a process group of its own


if __name__ == "__main__":
    main(sys.argv[1])
