"""Whoever was stopped on purpose goes on, whoever dies meanwhile."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from banyan.infra.harm import freezer
from banyan.infra.harm import servers as harm
from banyan.infra.supervisor import state
from tests.infra.watching import command_of, is_stopped, until

ASLEEP = "import time; time.sleep(1000)"

WITH_CHILD = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{ASLEEP}'], start_new_session=True).wait()"
)


@contextlib.contextmanager
def a_family() -> Iterator[tuple[int, int]]:
    """A process and its child, which is a group of its own, as a database's sessions are."""
    parent = subprocess.Popen([sys.executable, "-c", WITH_CHILD])
    until(lambda: len(freezer.family(parent.pid)) == 2)
    child = freezer.family(parent.pid)[1]
    try:
        yield parent.pid, child
    finally:
        parent.kill()
        parent.wait()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator["subprocess.Popen[bytes]"]:
    arguments = (pid, state.start_ticks(pid), 60, 60, 0)
    command = [sys.executable, "-I", "-S", freezer.__file__, *map(str, arguments)]
    helper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert helper.stdin is not None
    with helper, helper.stdin:
        assert helper.stdout is not None
        assert helper.stdout.readline().startswith(b"frozen")
        yield helper
        helper.kill()


def test_nobody_stays_stopped_when_the_supervisor_dies() -> None:
    with a_family() as (parent, child), frozen(parent) as helper:
        assert is_stopped(parent)
        assert is_stopped(child)

        assert helper.stdin is not None
        helper.stdin.close()  # as the kernel does for a killed supervisor

        until(lambda: not is_stopped(parent) and not is_stopped(child))


def test_nobody_stays_stopped_when_their_parent_dies() -> None:
    with a_family() as (parent, child), frozen(parent):
        os.kill(parent, signal.SIGKILL)

        until(lambda: not is_stopped(child))


async def test_nobody_stays_stopped_when_the_helper_is_killed() -> None:
    with a_family() as (parent, child):
        holds = asyncio.Event()
        freezing = asyncio.create_task(harm.frozen(parent, 60, stop=60, run=0, holds=holds))
        await holds.wait()
        helper = next(pid for pid in freezer.family(os.getpid()) if b"freezer" in command_of(pid))

        os.kill(helper, signal.SIGKILL)
        await freezing

        assert not is_stopped(parent)
        assert not is_stopped(child)
