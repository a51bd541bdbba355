"""`banyan up --demo` as a user starts it, on a data folder and a port of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from bench import servers

READY = "Banyan is ready at "
READY_SECONDS = 90.0
STOP_SECONDS = 60.0


@dataclass(slots=True)
class Demo:
    """A running demo. `start_seconds` is the time from the command to its ready line."""

    data: Path
    port: int
    process: subprocess.Popen[bytes]
    start_seconds: float
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.settings = Settings.read({"BANYAN_DATA": str(self.data)})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def processes(self) -> dict[str, int]:
        """The supervisor and what it runs just now, by name."""
        known = state.read_living(self.settings)
        if known is None:
            raise RuntimeError("the demo has ended")
        return {"supervisor": known.pid, **{each.name: each.pid for each in known.processes if each.pid}}

    def is_ready(self) -> bool:
        known = state.read_living(self.settings)
        return known is not None and all(each.state == "ready" for each in known.processes)

    def wait_until_ready(self, *, seconds: float = 40) -> float:
        """Seconds until all processes are ready (again)."""
        start = time.monotonic()
        while not self.is_ready():
            if time.monotonic() - start > seconds:
                raise RuntimeError(f"not ready after {seconds:.0f} s: {state.read_living(self.settings)}")
            time.sleep(0.05)
        return time.monotonic() - start

    def stop(self) -> float:
        """Seconds from SIGTERM until everything has ended."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGKILL)  # its guardian ends what it started
            self.process.wait()
            raise
        if status:
            raise RuntimeError(f"banyan up ended with status {status}: {_said(self.data)}")
        return time.monotonic() - begin


def start(data: Path, **variables: str) -> Demo:
    """Start the demo with default settings but these, and wait for the ready line."""
    port = servers.free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BANYAN_")}
    data.parent.mkdir(parents=True, exist_ok=True)
    command = [servers.program("setpriv"), "--pdeathsig", "TERM"]  # it ends with us, even if we are killed
    command += [sys.executable, "-m", "banyan", "up", "--demo", "--port", str(port), "--data", str(data)]
    log = _log(data)
    with log.open("wb") as output:
        begin = time.monotonic()
        process = subprocess.Popen(
            command,
            env={**environ, "PYTHONUNBUFFERED": "1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while READY not in _said(data):
        if process.poll() is not None or time.monotonic() - begin > READY_SECONDS:
            process.terminate()
            process.wait(STOP_SECONDS)
            raise RuntimeError(f"banyan up --demo is not ready: {_said(data)}")
        time.sleep(0.01)
    return Demo(data, port, process, time.monotonic() - begin)


@contextmanager
def demo(data: Path, **variables: str) -> Iterator[Demo]:
    running = start(data, **variables)
    try:
        yield running
    finally:
        running.stop()


def _said(data: Path) -> str:
    return _log(data).read_text(errors="replace")


def _log(data: Path) -> Path:
    return data.with_suffix(".said")
