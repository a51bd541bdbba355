"""One child process: started, probed until ready, watched, started again when it dies, stopped at last."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from banyan.infra import proc
from banyan.infra.settings import Settings
from banyan.infra.supervisor import spawning, state
from banyan.infra.supervisor.logs import RotatingLog
from banyan.infra.supervisor.probe import NotReady
from banyan.infra.supervisor.state import ChildState, Kind, State
from banyan.infra.supervisor.turns import Turn

_PROBE_EVERY = 1.0
_PROBE_WHILE_STARTING = 0.05
_PROBE_TIMEOUT = 5.0
_DEATHS_BEFORE_FAILING = 4
_LIVED_LONG = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a child is. `probe` raises until the child is ready; `listener` is a socket that outlives its restarts;
    `before_stop` is a courtesy before `stop_signal`, such as draining; `hang_timeout` is how long it may be silent,
    where that differs from the others."""

    name: str
    kind: Kind
    command: list[str]
    probe: Callable[[], Awaitable[None]]
    environ: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    listener: socket.socket | None = None
    before_stop: Callable[[], Awaitable[None]] | None = None
    version: str = ""
    hang_timeout: float | None = None


class Child:
    """Keeps one process running; `on_change` hears of every new state."""

    def __init__(self, spec: Spec, settings: Settings, on_change: Callable[[], None]) -> None:
        self.spec = spec
        self.state = ChildState(
            name=spec.name,
            kind=spec.kind,
            state="stopped",
            since=_now(),
            stop_signal=spec.stop_signal,
            version=spec.version,
        )
        self.first_ready = asyncio.Event()
        self._settings = settings
        self._on_change = on_change
        self._log = RotatingLog(
            settings.logs / f"{spec.name}.log",
            process=spec.name,
            limit=settings.log_bytes,
            keep=settings.log_files,
        )
        self._process: Process | None = None
        self._stopping = False
        self._restart_asked = asyncio.Event()
        self._wanted = False
        self._reason = ""
        self._running: asyncio.Task[None] | None = None
        self._next: tuple[Process, asyncio.Task[None], Turn] | None = None

    def start(self) -> None:
        self._running = asyncio.create_task(self._keep_running(), name=f"child {self.spec.name}")

    async def stop(self) -> None:
        """Ask, wait, kill; returns when the process is gone."""
        self._stopping = True
        if (process := self._living()) is not None:
            self._change("stopping")
            await self._prepare_to_end()
            await self._end(process)
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._next is not None:
            self._next[2].close()  # what waits for its turn ends by that
        self._change("stopped", pid=None)
        self._log.close()

    async def restart(
        self, reason: str, *, command: list[str] | None = None, version: str | None = None, wanted: bool = True
    ) -> None:
        """Stop the process now, if it lives, and start it again without a wait, from now on by `command`, which is of
        that `version`, if given. One that nobody `wanted` counts as a death, with the pauses that follow several."""
        if command is not None:
            self.spec = replace(self.spec, command=command, version=version or self.spec.version)
        if wanted:
            self._restart_asked.set()
        self._reason = reason
        if (process := self._living()) is not None:
            self._wanted = wanted
            self._change("stopping", detail=reason)
            await self._prepare_to_end()
            await self._end(process)  # not the next one, which somebody else may have begun meanwhile

    async def replace(
        self, reason: str, *, command: list[str] | None = None, version: str | None = None, within: float
    ) -> None:
        """As `restart`, but what comes next loads everything first, and nobody waits for that. Raises NotLoaded."""
        turn = Turn()
        spec = replace(self.spec, command=command or self.spec.command)
        process = None
        try:
            process, pump = await self._spawn(spec, turn)
            await turn.loaded(within=within)
        except BaseException:
            turn.close()
            if process is not None:
                _signal_group(process.pid, signal.SIGKILL)
            raise
        self._next = (process, pump, turn)
        await self.restart(reason, command=spec.command, version=version)

    def note_end(self, reason: str) -> None:
        """Why a part of it was ended."""
        self._change(self.state.state, ended=reason)

    def note(self, detail: str) -> None:
        """What there is to say of a child that is ready."""
        if self.state.state == "ready" and self.state.detail != detail:
            self._change("ready", detail=detail)

    async def _keep_running(self) -> None:
        deaths = 0
        while not self._stopping:
            started = asyncio.get_running_loop().time()
            self._restart_asked.clear()
            self._reason = ""
            try:
                await self._run_once()
                epitaph = self._epitaph()
            except Exception as fault:  # nothing may end this loop but a stop: a child without it is never seen again
                epitaph = f"cannot be run: {_short(fault)}"
            if self._stopping:
                return
            lived = asyncio.get_running_loop().time() - started
            deaths = 1 if lived > _LIVED_LONG or self._wanted else deaths + 1
            failing = deaths >= _DEATHS_BEFORE_FAILING
            self._change(
                "failing" if failing else "backoff",
                pid=None,
                restarts=self.state.restarts + 1,
                wanted=self.state.wanted + self._wanted,
                detail=epitaph,
                ended=epitaph,
            )
            self._wanted = False
            # The first restart is at once: most deaths are single ones, and somebody waits.
            wait = 0.0 if deaths == 1 else min(0.25 * 2 ** (deaths - 2), self._settings.backoff)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._restart_asked.wait(), wait)

    async def _run_once(self) -> None:
        spec = self.spec
        self._change("failing" if self.state.state == "failing" else "starting", pid=None, version=spec.version)
        process, pump = await self._begin(spec)
        self._process = process
        self._change(self.state.state, pid=process.pid, detail="")
        watch = asyncio.create_task(self._watch(process))
        try:
            if self._restart_asked.is_set():  # while it was being started, so perhaps by another command
                self._wanted = True
                self._change("stopping", detail=self._reason)
                await self._end(process)
            await process.wait()
        finally:
            watch.cancel()
            # What a dead process leaves in its group (a hung helper, say) goes with it.
            _signal_group(process.pid, signal.SIGKILL)
            await asyncio.wait([pump], timeout=1)
            pump.cancel()

    async def _begin(self, spec: Spec) -> tuple[Process, asyncio.Task[None]]:
        if self._next is None:
            return await self._spawn(spec)
        process, pump, turn = self._next
        self._next = None
        turn.give()
        return process, pump

    async def _spawn(self, spec: Spec, turn: Turn | None = None) -> tuple[Process, asyncio.Task[None]]:
        command = [*dies_with_parent(spec.stop_signal), *spec.command]
        process = await spawning.spawn(command, spec.environ, listener=spec.listener, turn=turn)
        return process, asyncio.create_task(spawning.pump(process, self._log))

    async def _watch(self, process: Process) -> None:
        """Report readiness, and kill a process that hangs: the loop above then starts another."""
        loop = asyncio.get_running_loop()
        last_answer = loop.time()
        ready = False
        hang_timeout = self._settings.hang_timeout if self.spec.hang_timeout is None else self.spec.hang_timeout
        patience = min(_PROBE_TIMEOUT, hang_timeout)
        while True:
            try:
                await asyncio.wait_for(self.spec.probe(), patience)
            except Exception as fault:
                if isinstance(fault, NotReady):
                    last_answer = loop.time()  # it lives and says why: killing it would not bring its database back
                silent = loop.time() - last_answer
                limit = hang_timeout if ready else self._settings.ready_timeout
                if isinstance(fault, NotReady) or (ready and silent > patience):
                    self._not_ready(_short(fault))
                if silent > limit:
                    self._change("backoff", detail=f"did not answer for {silent:.0f} s and was killed")
                    _signal_group(process.pid, signal.SIGKILL)
                    return
                await asyncio.sleep(_PROBE_EVERY if ready else _PROBE_WHILE_STARTING)
                continue
            last_answer = loop.time()
            if self.state.state not in ("ready", "stopping"):
                ready = True
                self._change("ready", detail="")
                self.first_ready.set()
            await asyncio.sleep(_PROBE_EVERY)

    def _not_ready(self, why: str) -> None:
        if self.state.state in ("ready", "starting") and self.state.detail != why:
            self._change("starting", detail=why)

    async def _prepare_to_end(self) -> None:
        if self.spec.before_stop is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self.spec.before_stop(), self._settings.drain + 5)

    def _living(self) -> Process | None:
        return self._process if self._process is not None and self._process.returncode is None else None

    async def _end(self, process: Process) -> None:
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.spec.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self._settings.stop_timeout)
        except TimeoutError:
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()

    def _epitaph(self) -> str:
        code = self._process.returncode if self._process is not None else None
        if code is None:
            return self.state.detail
        if self._reason:
            return self._reason
        if self.state.detail.startswith("did not answer"):
            return self.state.detail
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _change(self, to: State, **changes: object) -> None:
        moved = to != self.state.state
        fields = {"state": to, "since": _now() if moved else self.state.since, **changes}
        if "pid" in fields:
            pid = fields["pid"]
            fields["ticks"] = state.start_ticks(pid) if isinstance(pid, int) else 0
        self.state = replace(self.state, **fields)  # type: ignore[arg-type] # a dict of fields of their own types
        self._on_change()


def dies_with_parent(stop_signal: signal.Signals) -> list[str]:
    """A prefix that makes the kernel stop the child when the supervisor is gone; exec keeps it, and so the pid."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", stop_signal.name.removeprefix("SIG"), "--"] if setpriv else []


def _signal_group(pid: int, number: signal.Signals) -> None:
    # PostgreSQL's backends lead groups of their own. One that hangs would outlive the rest, and keep the output open.
    children = proc.children(pid) if number is signal.SIGKILL else []
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
    for child in children:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(child, number)


def _short(fault: Exception) -> str:
    return (str(fault) or type(fault).__name__)[:200]


def _now() -> datetime:
    return datetime.now(UTC)
