"""`banyan up`, `status`, `stop` as an operator uses them: refusals, recovery, odd folders, reload."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from banyan.infra.settings import Settings
from banyan.infra.supervisor import state
from tests.conftest import Postgres
from tests.journeys.front_door import FrontDoor, banyan_up

ROOT = Path(__file__).parents[2]


def banyan(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "banyan", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture(scope="module")
def environ(postgres: Postgres) -> dict[str, str]:
    """With secrets, which only those are to know who need them."""
    return {
        "BANYAN_REQUEST_LOG": "all",
        "BANYAN_COMMERCE_DATABASE_URL": postgres.url("postgres"),
        "BANYAN_SMTP_URL": "smtp://u:secret@127.0.0.1:1",
    }


@pytest.fixture(scope="module")
def door(environ: dict[str, str]) -> Iterator[FrontDoor]:
    with banyan_up("--demo", environ=environ) as door:
        yield door


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.status, answer.read().decode()


def test_status_names_every_process_and_health_agrees(door: FrontDoor) -> None:
    known = json.loads(door.banyan("status", "--json"))

    assert known["running"]
    assert known["ready"]
    assert known["url"] == door.url
    assert {child["name"] for child in known["processes"]} >= {
        "postgres-front",
        "postgres-core",
        "postgres-aside",
        "gateway",
        "learning",
        "web",
        "old-site",
        "envoy",
    }
    assert get(f"{door.url}/_banyan/health")[0] == 200
    assert "postgres-core" in door.banyan("status")


def test_one_request_id_leads_from_the_gateway_into_each_process(door: FrontDoor) -> None:
    with urllib.request.urlopen(f"{door.url}/courses", timeout=20) as answer:
        request_id = answer.headers["x-request-id"]

    def line(log: str) -> dict[str, object]:
        deadline = time.monotonic() + 15  # Envoy writes its log every few seconds
        while True:
            lines = (door.data / "logs" / log).read_text().splitlines()
            found = [line for line in lines if request_id in line]
            if found:
                known: dict[str, object] = json.loads(found[0])
                return known
            assert time.monotonic() < deadline, log
            time.sleep(0.2)

    assert line("web.log")["path"] == "/courses"
    assert line("learning.log")["path"] == "/api/v1/courses"
    assert line("access.log")["status"] == 200


def test_a_process_is_told_only_the_databases_it_opens(door: FrontDoor, environ: dict[str, str]) -> None:
    children = json.loads(door.banyan("status", "--json"))["processes"]
    told = {
        child["name"]: Path(f"/proc/{child['pid']}/environ").read_bytes()
        for child in children
        if child["kind"] == "process"
    }

    secret_url = environ["BANYAN_COMMERCE_DATABASE_URL"].encode()
    assert not any(secret_url in environment for environment in told.values())
    assert [name for name, environment in told.items() if b"BANYAN_SMTP_URL" in environment] == ["monitor", "iam"]


def test_a_second_start_on_the_same_folder_says_who_has_it(door: FrontDoor) -> None:
    second = banyan("up", "--demo", "--data", str(door.data), "--port", "1")

    assert second.returncode == 1
    assert "already runs on" in second.stderr
    assert "banyan stop" in second.stderr
    assert get(f"{door.url}/_banyan/health")[0] == 200


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = banyan("up", "--demo", "--data", str(tmp_path / "data"), "--port", str(port))

    assert refused.returncode == 1
    assert f"Port {port}" in refused.stderr
    assert "--port" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["up"], "--legacy URL"),
        (["up", "--demo", "--host", "0.0.0.0"], "loopback"),
        (["up", "--legacy", "old.example"], "http(s)://host"),
        (["up", "--legacy", "http://127.0.0.1:1", "--no-legacy"], "exclude each other"),
        (["run", "no-such-process"], "There are: "),
        (["up", "--demo", "--port", "99999"], "1 to 65535"),
        (["up", "--legacy", "http://[::1"], "http(s)://host"),
    ],
)
def test_a_command_that_cannot_be_done_says_what_it_takes(arguments: list[str], says: str, tmp_path: Path) -> None:
    refused = banyan(*arguments, "--data", str(tmp_path / "data"))

    assert refused.returncode == 2
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("folder", "environ", "says"),
    [
        ("/dev/null/x", {}, "Choose another folder"),
        ("/etc/passwd", {}, "Choose another folder"),
        ("data", {"BANYAN_TLS_CERT": "/etc/passwd", "BANYAN_TLS_KEY": "/etc/passwd"}, "banyan: "),
        ("data", {"BANYAN_TRUSTED_HOPS": "99999999999"}, "banyan: "),
        ("data", {"BANYAN_LEARNING_DATABASE_URL": "garbage"}, "BANYAN_LEARNING_DATABASE_URL"),
        ("data", {"BANYAN_PUBLIC_URL": "http://[x"}, "BANYAN_PUBLIC_URL"),
    ],
)
def test_a_start_that_cannot_be_says_why_in_a_line(
    folder: str, environ: dict[str, str], says: str, tmp_path: Path
) -> None:
    refused = banyan("up", "--demo", "--port", str(_free_port()), "--data", str(tmp_path / folder), **environ)

    assert refused.returncode in (1, 2)
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "ready    postgres" not in refused.stdout


def test_commands_without_a_running_banyan_say_so(tmp_path: Path) -> None:
    asked = banyan("status", "--json", "--data", str(tmp_path / "data"))
    assert (asked.returncode, json.loads(asked.stdout)["running"]) == (1, False)

    stopped = banyan("stop", "--data", str(tmp_path / "data"))
    assert (stopped.returncode, "does not run" in stopped.stdout) == (0, True)


def test_everything_ends_with_a_killed_supervisor_and_the_next_start_recovers(tmp_path: Path) -> None:
    data = tmp_path / "data"
    settings = Settings.read({"BANYAN_DATA": str(data)})
    log = (tmp_path / "up.log").open("w")
    port = _free_port()
    command = [sys.executable, "-m", "banyan", "up", "--demo", "--port", str(port), "--data", str(data)]

    first = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    pids = _pids_when_ready(settings)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    _until_gone(pids, seconds=5)

    second = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _pids_when_ready(settings)
        assert get(f"http://127.0.0.1:{port}/courses")[0] == 200
        stopped = banyan("stop", "--data", str(data))
        assert stopped.returncode == 0, stopped.stderr
        assert second.wait(timeout=30) == 0
    finally:
        second.kill()
        second.wait()
        log.close()


def test_a_very_long_data_folder_with_spaces_works(tmp_path: Path) -> None:
    data = tmp_path.joinpath(*["a folder with 한글 and spaces"] * 6)
    port = _free_port()
    log = (tmp_path / "up.log").open("w")
    command = [sys.executable, "-m", "banyan", "up", "--no-legacy", "--port", str(port), "--data", str(data)]
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _pids_when_ready(Settings.read({"BANYAN_DATA": str(data)}))
        assert get(f"http://127.0.0.1:{port}/courses")[0] == 200
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        log.close()
        shutil.rmtree(Settings.read({"BANYAN_DATA": str(data)}).run, ignore_errors=True)


def test_an_edit_is_served_soon_and_restarts_only_what_it_touches(tmp_path: Path) -> None:
    for part in ("src", "migrations", "old_site"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    environ = {"PYTHONPATH": f"{tmp_path / 'src'}:{tmp_path}"}
    with banyan_up("--demo", "--reload", environ=environ) as door:
        settings = Settings.read({"BANYAN_DATA": str(door.data)})
        before = _restarts(settings)
        template = tmp_path / "src/banyan/web/templates/layout.html"
        template.write_text(template.read_text().replace("</body>", "edited just now</body>"))
        edited = time.monotonic()
        while "edited just now" not in get(f"{door.url}/courses")[1]:
            assert time.monotonic() - edited < 10
            time.sleep(0.05)
        _until_ready(settings)

        after = _restarts(settings)
    assert {name for name in after if after[name] != before[name]} == {"web"}


def _restarts(settings: Settings) -> dict[str, int]:
    known = state.read_living(settings)
    assert known is not None
    return {child.name: child.restarts for child in known.processes}


def _pids_when_ready(settings: Settings) -> list[tuple[int, int]]:
    known = _until_ready(settings)
    return [(child.pid, child.ticks) for child in known.processes if child.pid is not None]


def _until_ready(settings: Settings) -> state.SupervisorState:
    deadline = time.monotonic() + 60
    while True:
        known = state.read_living(settings)
        if known is not None and known.ready and all(child.state == "ready" for child in known.processes):
            return known
        assert time.monotonic() < deadline, known
        time.sleep(0.05)


def _until_gone(pids: list[tuple[int, int]], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := [pid for pid, ticks in pids if state.is_alive(pid, ticks)]:
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port
