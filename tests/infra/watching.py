"""Processes as others see them."""

import time
from collections.abc import Callable
from pathlib import Path

from banyan.infra.harm import freezer


def until(wanted: Callable[[], object], *, patience: float = 10) -> None:
    deadline = time.monotonic() + patience
    while not wanted():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def is_stopped(pid: int) -> bool:
    return freezer.stat(pid)[0] == b"T"


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
