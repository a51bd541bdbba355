"""`banyan up` as a user starts it: a process with a ready line, a URL, and nothing left of it when it is stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY = "Banyan is ready at "
READY_SECONDS = 90.0
STOP_SECONDS = 60.0
MARK = "BANYAN_JOURNEY_MARK"


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """A running Banyan. `url` has no slash at its end."""

    url: str
    data: Path
    python: str = sys.executable

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    @property
    def host(self) -> str:
        """The Host header of a browser that visits this URL."""
        return self.url.removeprefix("http://")

    def status(self) -> dict[str, Any]:
        """What `banyan status` says, whether or not all is well."""
        command = [sys.executable, "-m", "banyan", "status", "--json", "--data", str(self.data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def banyan(self, *arguments: str, patience: float = 60) -> str:
        """Run a command of the operator's on this data folder; its output. Fails when the command does."""
        command = [self.python, "-m", "banyan", *arguments, "--data", str(self.data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
        assert done.returncode == 0, f"banyan {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout


@contextmanager
def banyan_up(
    *arguments: str, environ: dict[str, str] | None = None, python: str = sys.executable, cwd: Path | None = None
) -> Iterator[FrontDoor]:
    """`banyan up ARGUMENTS` on a free port and an empty data folder, stopped by SIGTERM afterwards; that of another
    installation by its `python`, in the folder `cwd`."""
    with tempfile.TemporaryDirectory(prefix="by-", ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        port = free_port()
        mark = uuid.uuid4().hex
        process = subprocess.Popen(
            [python, "-m", "banyan", "up", "--port", str(port), "--data", str(data), *arguments],
            cwd=cwd,
            env={**(os.environ if python == sys.executable else _without_python()), **(environ or {}), MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        said = _Output(process)
        started: set[int] = set()
        try:
            said.wait_for_ready()
            started = _descendants(process.pid)
            yield FrontDoor(f"http://127.0.0.1:{port}", data, python)
            started |= _descendants(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        left = {pid: name for pid, name in _alive(started, mark, str(data)).items() if pid != process.pid}
        assert (status, left) == (0, {}), f"exit status {status}, left behind {left}\n{said.text}"


class _Output:
    """Reads what a process prints, so that its pipe never fills up."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._ready = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def text(self) -> str:
        return "".join(self._lines)

    def wait_for_ready(self) -> None:
        self._ready.wait(READY_SECONDS)
        assert READY in self.text, f"banyan up is not ready after {READY_SECONDS:.0f} s or has ended:\n{self.text}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self._lines.append(line)
                if READY in line:
                    self._ready.set()
        self._ready.set()  # it has ended; whoever waits looks for the line and does not find it


def _without_python() -> dict[str, str]:
    """Nothing that would lead another installation to our source tree."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _descendants(parent: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid in _pids():
        stat = _read_proc(pid, "stat").rpartition(b")")[2].split()
        if stat:
            children.setdefault(int(stat[1]), []).append(pid)
    found: set[int] = set()
    waiting = [parent]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found.add(child)
            waiting.append(child)
    return found


def _alive(started: set[int], mark: str, data: str) -> dict[int, str]:
    """Processes that belong to one `banyan up`: it started them, they inherited its mark, or they name its folder."""
    alive = {}
    for pid in _pids():
        command = _read_proc(pid, "cmdline")
        ours = f"{MARK}={mark}".encode() in _read_proc(pid, "environ") or data.encode() in command
        if (ours or pid in started) and command:  # a zombie has no command line
            alive[pid] = command.replace(b"\0", b" ").decode(errors="replace")
    return alive


def _pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _read_proc(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has ended meanwhile, or is somebody else's
        return b""


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
