"""Processes without a supervisor: each started by `banyan run NAME`, as any scheduler would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.journeys.front_door import FrontDoor, free_port

READY_SECONDS = 90


class Alone:
    """One data folder and what runs on it."""

    def __init__(self, data: Path) -> None:
        self._data = data
        port = free_port()
        self.door = FrontDoor(f"http://127.0.0.1:{port}", data)
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BANYAN_")},
            "BANYAN_DATA": str(data),
            "BANYAN_PORT": str(port),
            "BANYAN_DEMO": "1",
            "BANYAN_DRAIN_SECONDS": "10",
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, told: Mapping[str, str] | None = None, *, by: tuple[str, ...] = ()) -> None:
        with (self._data / f"{name}.out").open("ab") as out:
            self._running[name] = subprocess.Popen(
                [*by, sys.executable, "-m", "banyan", "run", name],
                env={**self.environ, **(told or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        for name, process in self._running.items():
            asked = self.ask(name, "--within", str(max(0.0, deadline - time.monotonic())))
            assert process.poll() is None, f"{name} has ended:\n{self.said(name)}"
            assert asked.returncode == 0, f"{asked.stderr}\n{self.said(name)}"

    def ask(self, name: str, *options: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "banyan.processes.ready", name, *options]
        return subprocess.run(command, capture_output=True, text=True, env=self.environ, timeout=120, check=False)

    def said(self, name: str) -> str:
        return (self._data / f"{name}.out").read_text(errors="replace")[-3000:]

    def stop(self, name: str) -> int:
        """SIGTERM, and the exit code."""
        process = self._running.pop(name)
        process.terminate()
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise

    def stop_all(self) -> dict[str, int]:
        """The exit codes; the databases last."""
        names = sorted(self._running, key=lambda name: (name.startswith("postgres-"), name != "envoy"))
        return {name: self.stop(name) for name in names}


@contextmanager
def alone(data: Path) -> Iterator[Alone]:
    data.mkdir(mode=0o700)
    made = Alone(data)
    try:
        yield made
    finally:
        made.stop_all()
