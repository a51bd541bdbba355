"""Memory limits: a process over its own is restarted, a session of a database over it is ended, before the machine
runs out and takes anybody."""

import asyncio
import contextlib
import os
import signal

import structlog

from banyan.infra import proc
from banyan.infra.settings import Settings
from banyan.infra.supervisor.child import Child
from banyan.infra.supervisor.supervisor import Supervisor

log = structlog.get_logger()

_LOOK = 0.5
_LOOKS_PER_SESSION_LOOK = 4


async def watch(settings: Settings, supervisor: Supervisor) -> None:
    """Look for ever."""
    looks = 0
    ending: set[asyncio.Task[None]] = set()
    while True:
        await asyncio.sleep(_LOOK)
        looks += 1
        for name, child in list(supervisor.children.items()):
            limit = settings.memory_limit(name)
            if not limit or child.state.pid is None or child.state.state == "stopping":
                continue
            if child.spec.kind == "postgres":
                if looks % _LOOKS_PER_SESSION_LOOK == 0:
                    _end_greedy_sessions(child, child.state.pid, limit)
            elif (used := proc.resident(child.state.pid)) > limit:
                reason = f"used {_mb(used)}, more than its limit of {_mb(limit)}"
                log.warning("a process is over its memory limit", process=name, used=used, limit=limit)
                task = asyncio.create_task(child.restart(reason, wanted=False))
                ending.add(task)
                task.add_done_callback(ending.discard)


def _end_greedy_sessions(server: Child, pid: int, limit: int) -> None:
    """One session must not cost the others theirs, as a restart of the server would."""
    for session in proc.children(pid):
        if (used := proc.resident(session, shared=False)) > limit:
            log.warning("a session is over the memory limit", server=server.spec.name, used=used, limit=limit)
            server.note_end(f"a session used {_mb(used)}, more than its limit of {_mb(limit)}, and was ended")
            with contextlib.suppress(OSError):
                os.kill(session, signal.SIGTERM)


def _mb(size: int) -> str:
    return f"{size / 1_000_000:.0f} MB"
