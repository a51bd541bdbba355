"""The parent of all: takes the data folder, clears up after a killed run, starts stages in order, stops them in
reverse, and tells the state file and a guardian what it started."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog

from banyan import __version__
from banyan.infra.settings import Settings
from banyan.infra.supervisor import guardian, state
from banyan.infra.supervisor.child import Child, Spec
from banyan.infra.supervisor.state import ChildState, DataFolderLock, SupervisorState
from banyan.kit.errors import NotFound

log = structlog.get_logger()

_GUARDIAN_PAUSE = 0.2
_WRITE_AGAIN = 1.0


class ChildUnknown(NotFound):
    """The supervisor has no child of that name."""


class Progress(Protocol):
    """Told what happens, for a person to read."""

    def ready(self, name: str, seconds: float) -> None: ...

    def trouble(self, name: str, detail: str) -> None: ...

    def say(self, text: str) -> None: ...


class Supervisor:
    """Owns the children of one data folder. Use as an async context manager; leaving it stops everything."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self.children: dict[str, Child] = {}
        self._settings = settings
        self._progress = progress
        self._lock = DataFolderLock(settings)
        self._started_at = datetime.now(UTC)
        self._ready = False
        self._stop_asked = asyncio.Event()
        self._guardian: asyncio.subprocess.Process | None = None
        self._guarding: asyncio.Task[None] | None = None
        self._unwritten = False
        self._troubled: set[str] = set()
        self._beside: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Supervisor":
        """Raises AlreadyRunning if another supervisor has this data folder."""
        self._lock.take()
        await asyncio.to_thread(_end_leftovers, self._settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # The handler stays during the stop, so that a second signal changes nothing.
            loop.add_signal_handler(number, self._stop_asked.set)
        self._write_state()
        self._guardian = await _start_guardian(self._settings)
        self._guarding = asyncio.create_task(self._keep_guardian())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._beside:  # before anything is stopped that it would mend
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        await self._stop_all()
        if self._guarding is not None:
            self._guarding.cancel()
        if self._guardian is not None and self._guardian.stdin is not None:
            self._guardian.stdin.close()
            await self._guardian.wait()
        with contextlib.suppress(OSError):
            state.path(self._settings).unlink()
            if not self._settings.run.is_relative_to(self._settings.data):
                shutil.rmtree(self._settings.run)
        self._lock.close()

    async def start(self, specs: Sequence[Spec], *, wait: float) -> None:
        """Start children side by side and wait until all are ready, a stop is asked for, or `wait` seconds are over;
        what is not ready by then is reported and goes on trying."""
        started = time.monotonic()
        new = [Child(spec, self._settings, self._changed) for spec in specs]
        for child in new:
            self.children[child.spec.name] = child
            child.start()
        waiting = {asyncio.create_task(_until_ready(child)): child for child in new}
        stop = asyncio.create_task(self._stop_asked.wait())
        pending = set(waiting)
        while pending and not self._stop_asked.is_set():
            left = wait - (time.monotonic() - started)
            done, _ = await asyncio.wait({*pending, stop}, timeout=max(left, 0), return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for task in [task for task in pending if task in done]:
                self._progress.ready(waiting[task].spec.name, time.monotonic() - started)
            pending = {task for task in pending if task not in done}
        for task in pending:
            task.cancel()
            if not self._stop_asked.is_set():
                child = waiting[task]
                self._progress.trouble(child.spec.name, child.state.detail or "not ready yet; Banyan goes on trying")
        stop.cancel()

    async def remove(self, name: str) -> None:
        """Stop a child for good. Raises ChildUnknown."""
        child = self.child(name)
        await child.stop()
        del self.children[name]
        self._write_state()

    def child(self, name: str) -> Child:
        """Raises ChildUnknown."""
        if name not in self.children:
            raise ChildUnknown(f"There is no process '{name}' here. There are: {', '.join(sorted(self.children))}.")
        return self.children[name]

    def announce_ready(self) -> None:
        self._ready = True
        self._write_state()

    @property
    def stop_asked(self) -> bool:
        return self._stop_asked.is_set()

    def beside(self, work: Coroutine[None, None, None]) -> None:
        """Run work of the supervisor's own until everything is stopped. If it fails, that is told, and all else goes
        on."""
        task = asyncio.create_task(work, name=getattr(work, "__qualname__", "work"))
        task.add_done_callback(self._tell_failure)
        self._beside.append(task)

    async def wait_for_stop(self) -> None:
        await self._stop_asked.wait()

    def _tell_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.error("work beside the processes failed", work=task.get_name(), exc_info=fault)
            self._progress.trouble("supervisor", f"{task.get_name()} has failed until the next start: {fault!r}")

    async def _keep_guardian(self) -> None:
        """Whoever kills the guardian must not take the last safety away."""
        while self._guardian is not None:
            await self._guardian.wait()
            await asyncio.sleep(_GUARDIAN_PAUSE)
            self._guardian = await _start_guardian(self._settings)

    async def _stop_all(self) -> None:
        """The last started first, one kind at a time: Envoy, so that nobody is let in; processes; databases."""
        for kind in ("envoy", "process", "postgres"):
            of_kind = [child for child in self.children.values() if child.spec.kind == kind]
            await asyncio.gather(*(child.stop() for child in of_kind))

    def _changed(self) -> None:
        self._write_state()
        for name, child in self.children.items():
            if child.state.state == "failing" and name not in self._troubled:
                self._troubled.add(name)
                where = self._settings.logs / f"{name}.log"
                self._progress.trouble(name, f"keeps dying ({child.state.detail}); the rest goes on. See {where}")
            elif child.state.state == "ready" and name in self._troubled:
                self._troubled.discard(name)
                self._progress.say(f"{name} is back")

    def _write_state(self) -> None:
        # Written before anything else happens, because the guardian reads it when we are gone.
        known = SupervisorState(
            pid=os.getpid(),
            ticks=state.start_ticks(os.getpid()),
            url=self._settings.url,
            version=__version__,
            started_at=self._started_at,
            ready=self._ready,
            demo=self._settings.demo,
            processes=[child.state for child in self.children.values()],
        )
        try:
            state.write(self._settings, known)
        except OSError as fault:
            self._later(fault)
            return
        self._unwritten = False

    def _later(self, fault: OSError) -> None:
        """The disk is full, say. Go on, and write the state down as soon as that is possible."""
        if self._unwritten:
            return
        self._unwritten = True
        self._progress.trouble("supervisor", f"cannot write {state.path(self._settings)}: {fault.strerror}")

        async def again() -> None:
            while self._unwritten:
                await asyncio.sleep(_WRITE_AGAIN)
                self._write_state()

        self.beside(again())


async def _until_ready(child: Child) -> None:
    await child.first_ready.wait()


async def _start_guardian(settings: Settings) -> asyncio.subprocess.Process:
    script = Path(guardian.__file__)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        str(script),
        str(state.path(settings)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


def _end_leftovers(settings: Settings) -> None:
    """End children of a killed run that still live, and remove its sockets."""
    old = state.read(settings)
    left = [child for child in old.processes if _lives(child)] if old is not None else []
    for child in left:
        _signal(child, child.stop_signal)
    deadline = time.monotonic() + settings.stop_timeout
    while any(_lives(child) for child in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    for child in left:
        if _lives(child):
            _signal(child, signal.SIGKILL)
    for stale in settings.run.glob("*.sock"):
        stale.unlink(missing_ok=True)


def _lives(child: ChildState) -> bool:
    return child.pid is not None and state.is_alive(child.pid, child.ticks)


def _signal(child: ChildState, number: int) -> None:
    if child.pid is not None:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, number)


class StillRunning(Exception):
    """The supervisor was asked to stop and did not."""


def stop(settings: Settings, *, tell: Callable[[str], None]) -> bool:
    """Ask the supervisor of a data folder to stop and wait until it has; False if none runs. Raises StillRunning."""
    running = state.read_living(settings)
    if running is None:
        return False
    tell(f"Stopping Banyan (process {running.pid}) ...")
    os.kill(running.pid, signal.SIGTERM)
    patience = settings.stop_timeout * 3 + settings.drain + 5  # Envoy, processes and databases, one after the other
    deadline = time.monotonic() + patience
    while state.is_alive(running.pid, running.ticks):
        if time.monotonic() > deadline:
            raise StillRunning(
                f"Process {running.pid} did not stop within {patience:.0f} s. It may be hung: `kill -9 {running.pid}` "
                "ends it, and all that it started within five seconds; nothing that was saved is lost."
            )
        time.sleep(0.05)
    return True
