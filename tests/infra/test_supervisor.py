"""The supervisor with small children of the tests' own: real processes, really killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from banyan.infra.supervisor.state import SupervisorState
from banyan.infra.supervisor.supervisor import StillRunning, stop

SCRIPT = Path(__file__).with_name("supervised.py")
STEADY = "import os,time; open(os.environ['READY'],'w').close(); time.sleep(1000)"
DEAF = (
    "import os,signal,time; signal.signal(15,signal.SIG_IGN); open(os.environ['READY'],'w').close(); time.sleep(1000)"
)
DYING = "import sys; sys.exit(3)"
TALKING = (
    "import os,time\nopen(os.environ['READY'],'w').close()\nfor n in range(2000): print('x'*50, n)\ntime.sleep(1000)"
)


class Run:
    """A running supervisor and what it prints."""

    def __init__(self, folder: Path, children: dict[str, str], **environ: str) -> None:
        self.settings = Settings.read({"BANYAN_DATA": str(folder)})
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps([{"name": n, "code": c} for n, c in children.items()])],
            env={**os.environ, "BANYAN_DATA": str(folder), "BANYAN_STOP_SECONDS": "2", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def read_until(self, text: str) -> str:
        assert self.process.stdout is not None
        seen = ""
        while text not in seen:
            line = self.process.stdout.readline()
            assert line, f"ended without {text!r}: {seen}"
            seen += line
        return seen

    def state(self) -> SupervisorState:
        found = state.read(self.settings)
        assert found is not None
        return found

    def pid(self, name: str) -> int:
        return next(child.pid or 0 for child in self.state().processes if child.name == name)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def started(children: dict[str, str], folder: str = "data", **environ: str) -> Run:
        run = Run(tmp_path / folder, children, **environ)
        runs.append(run)
        return run

    yield started
    for run in runs:
        run.process.kill()
        run.process.wait()
        assert run.process.stdout is not None
        run.process.stdout.close()


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    return state.is_alive(pid, 0)


def test_a_killed_child_is_back_at_once_and_counted(start: Callable[..., Run]) -> None:
    run = start({"steady": STEADY})
    run.read_until("all started")
    first = run.pid("steady")

    os.kill(first, signal.SIGKILL)

    until(lambda: run.state().processes[0].state == "ready" and run.pid("steady") not in (0, first))
    assert run.state().processes[0].restarts == 1


def test_one_that_keeps_dying_is_reported_and_the_rest_goes_on(start: Callable[..., Run]) -> None:
    run = start({"steady": STEADY, "dying": DYING}, WAIT="3")

    seen = run.read_until("trouble dying: keeps dying (ended with exit code 3)")

    assert "ready steady" in seen + run.read_until("all started")
    states = {child.name: child.state for child in run.state().processes}
    assert states["steady"] == "ready"
    assert states["dying"] in ("failing", "starting")


def test_a_stop_ends_everything_and_a_second_signal_changes_nothing(start: Callable[..., Run]) -> None:
    run = start({"steady": STEADY, "deaf": DEAF})
    run.read_until("all started")
    pids = [run.pid("steady"), run.pid("deaf")]

    run.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGTERM)

    run.read_until("stopped")
    assert run.process.wait(timeout=10) == 0
    assert not any(alive(pid) for pid in pids)
    assert state.read(run.settings) is None


@pytest.mark.parametrize("with_parent_death_signal", [True, False])
def test_kill_9_of_the_supervisor_leaves_no_child_after_five_seconds(
    start: Callable[..., Run], tmp_path: Path, with_parent_death_signal: bool
) -> None:
    environ = {}
    if not with_parent_death_signal:  # a system without setpriv: only the guardian is left
        (tmp_path / "bin").mkdir()
        environ["PATH"] = str(tmp_path / "bin")
    run = start({"steady": STEADY, "deaf": DEAF}, **environ)
    run.read_until("all started")
    pids = [run.pid("steady"), run.pid("deaf")]
    assert all(alive(pid) for pid in pids)

    os.kill(run.process.pid, signal.SIGKILL)

    until(lambda: not any(alive(pid) for pid in pids), seconds=5)


def test_the_next_start_ends_what_a_killed_run_left(start: Callable[..., Run]) -> None:
    run = start({"deaf": DEAF})
    run.read_until("all started")
    left = run.pid("deaf")
    guardians = _children_of(run.process.pid) - {left}
    os.kill(run.process.pid, signal.SIGSTOP)
    for pid in guardians:  # killed together with the supervisor: the worst case
        os.kill(pid, signal.SIGKILL)
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()

    again = start({"steady": STEADY})
    again.read_until("all started")

    assert not alive(left)
    assert alive(again.pid("steady"))


def test_a_second_start_on_the_same_folder_is_refused_and_says_what_to_do(start: Callable[..., Run]) -> None:
    run = start({"steady": STEADY})
    run.read_until("all started")

    second = start({"steady": STEADY})
    seen = second.read_until("banyan stop")

    assert f"process {run.process.pid}" in seen
    assert second.process.wait(timeout=10) == 1
    assert alive(run.pid("steady"))


def test_a_hung_child_is_killed_and_started_again(start: Callable[..., Run]) -> None:
    run = start({"steady": STEADY}, BANYAN_HANG_SECONDS="1")
    run.read_until("all started")
    first = run.pid("steady")
    ready = run.settings.run / "steady.ready"

    ready.unlink()  # from now on the probe fails, as it does for a process that hangs

    until(lambda: run.state().processes[0].state == "ready" and run.pid("steady") != first)
    assert not alive(first)


def test_a_full_disk_ends_no_supervision(start: Callable[..., Run]) -> None:
    run = start({"steady": STEADY})
    run.read_until("all started")
    first = run.pid("steady")
    # The state file cannot be written: as on a full disk, but root may do it on any machine.
    blocked = state.path(run.settings).with_suffix(".tmp")
    blocked.mkdir()

    os.kill(first, signal.SIGKILL)

    run.read_until("cannot write")
    until(lambda: len(_children_of(run.process.pid) - {first}) == 2)
    blocked.rmdir()
    until(lambda: run.pid("steady") not in (0, first) and run.state().processes[0].state == "ready")


def test_a_killed_guardian_is_replaced(start: Callable[..., Run]) -> None:
    run = start({"deaf": DEAF})
    run.read_until("all started")
    child = run.pid("deaf")
    (guardian,) = _children_of(run.process.pid) - {child}
    os.kill(guardian, signal.SIGKILL)
    until(lambda: bool(_children_of(run.process.pid) - {child, guardian}))
    os.kill(child, signal.SIGSTOP)  # the parent-death signal waits for it to go on, which it never does

    os.kill(run.process.pid, signal.SIGKILL)

    until(lambda: not alive(child), seconds=5)


def test_a_child_that_says_why_it_is_not_ready_is_let_be(start: Callable[..., Run]) -> None:
    run = start({"steady": STEADY}, BANYAN_HANG_SECONDS="0.5")
    run.read_until("all started")
    pid = run.pid("steady")
    (run.settings.run / "steady.ready").write_text("the database is away")

    until(lambda: run.state().processes[0].detail == "the database is away")
    time.sleep(2)
    assert run.pid("steady") == pid
    assert run.state().processes[0].state == "starting"
    (run.settings.run / "steady.ready").write_text("")
    until(lambda: run.state().processes[0].state == "ready")


def test_a_supervisor_that_does_not_stop_is_named(start: Callable[..., Run]) -> None:
    run = start({"steady": STEADY})
    run.read_until("all started")
    os.kill(run.process.pid, signal.SIGSTOP)
    impatient = Settings.read(
        {"BANYAN_DATA": str(run.settings.data), "BANYAN_STOP_SECONDS": "0", "BANYAN_DRAIN_SECONDS": "0"}
    )

    with pytest.raises(StillRunning, match=f"kill -9 {run.process.pid}"):
        stop(impatient, tell=print)


def test_logs_are_json_lines_and_rotated(start: Callable[..., Run]) -> None:
    run = start({"talking": TALKING}, BANYAN_LOG_BYTES="20000", BANYAN_LOG_FILES="2")
    run.read_until("all started")
    # It has said all: nothing is moved any more.
    until(lambda: "x 1999" in _text(run.settings.logs / "talking.log"), seconds=30)
    assert (run.settings.logs / "talking.log.2").exists()

    line = json.loads((run.settings.logs / "talking.log.1").read_text().splitlines()[0])

    assert line["process"] == "talking"
    assert line["event"].startswith("xxxx")
    assert not (run.settings.logs / "talking.log.3").exists()
    assert (run.settings.logs / "talking.log.1").stat().st_mode & 0o077 == 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:  # it is just being rotated
        return ""


def _children_of(parent: int) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == parent:
                    found.add(int(entry.name))
    return found
