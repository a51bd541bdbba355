"""Each process by itself, as `deploy/` and docs/guides/run-one-process.md say: on the embedded servers, and on one of
the operator's own."""

import asyncio
import http.client
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from banyan.infra import databases, embedded
from banyan.infra.databases import Server
from banyan.infra.faults import agent
from banyan.infra.secrets import secret
from banyan.infra.settings import Settings
from banyan.processes import registry
from tests.conftest import need
from tests.processes.people import Learner
from tests.shipping.alone import Alone, alone
from tests.shipping.installing import ROOT
from tests.shipping.test_deploy_files import manifests

OURS = Server("ours", 5597, ())
PROCESSES = [process.name for process in registry.PROCESSES]
SERVERS = [process.name for process in registry.SERVERS]
CORE = f".s.PGSQL.{databases.server_of('learning').port}"


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[str]:
    """A server that somebody else runs, with the roles and databases of `deploy/databases.sql`; its address as the
    tail of a URL, to be filled with a database."""
    settings = Settings.read({"BANYAN_DATA": str(tmp_path / "elsewhere")})
    settings.make_folders()
    rights = embedded.privileges(settings)
    embedded.initialise(settings, OURS, rights)
    command = [*embedded.command(settings, OURS, rights), "-c", "fsync=off", "-c", "max_connections=100"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    password = secret(settings.secrets, f"postgres-{OURS.name}-superuser")
    try:
        asyncio.run(_set_up(databases.embedded_url(settings, OURS, "postgres", embedded.SUPERUSER, password)))
        yield databases.embedded_url(settings, OURS, "{}", "{}", "").partition("@")[2]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=20)


async def _set_up(url: str) -> None:
    for _ in range(300):
        try:
            connection = await asyncpg.connect(url)
            break
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.1)
    lines = (ROOT / "deploy/databases.sql").read_text().splitlines()
    statements = "\n".join(line for line in lines if not line.startswith("--")).split(";")
    for statement in filter(None, map(str.strip, statements)):
        await connection.execute(statement)
    await connection.close()


def test_the_embedded_form_needs_no_supervisor_and_envoy_drains(tmp_path: Path) -> None:
    with alone(tmp_path / "data") as here:
        for name in ("envoy", *reversed(PROCESSES), *SERVERS):  # in the least helpful order
            here.start(name)
        here.wait_until_ready()

        live_through(here)
        with in_the_middle_of_a_request(here) as finish:
            stopping = threading.Thread(target=here.stop, args=("envoy",))
            stopping.start()
            time.sleep(0.3)
            assert finish() == 401
            stopping.join(30)
        assert here.ask("envoy").returncode == 1
        assert set(here.stop_all().values()) == {0}


def test_a_backup_uses_what_runs_and_takes_nobodys_socket(tmp_path: Path) -> None:
    with alone(tmp_path / "data") as here:
        for name in ("web", *SERVERS):
            here.start(name)
        here.wait_until_ready()
        sockets = sockets_of(tmp_path / "data/run")

        here.door.banyan("backup", str(tmp_path / "kept"))
        here.stop("postgres-core")
        with pytest.raises(AssertionError, match=r"The database (learning|commerce) cannot be read just now"):
            here.door.banyan("backup", str(tmp_path / "not kept"))

        assert (tmp_path / "kept/manifest.json").is_file()
        assert not (tmp_path / "not kept").exists()
        left = sockets_of(tmp_path / "data/run")
        assert {name: left.get(name) for name in sockets if name != CORE} == {
            name: inode for name, inode in sockets.items() if name != CORE
        }


def sockets_of(run: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in run.rglob("*") if path.is_socket()}


def test_each_process_is_told_its_own_databases_alone(tmp_path: Path, own_server: str) -> None:
    told = {made["metadata"]["name"].removeprefix("banyan-"): made["stringData"] for made in manifests("Secret")}
    with alone(tmp_path / "data") as here:
        for name in (*PROCESSES, "envoy"):
            urls = {variable: url for variable, url in told.get(name, {}).items() if "SMTP" not in variable}
            here.start(
                name, {variable: re.sub(r"@.*/(\w+)$", rf"@{_at(own_server)}", url) for variable, url in urls.items()}
            )
        here.wait_until_ready()

        live_through(here)
        assert set(here.stop_all().values()) == {0}


def _at(own_server: str) -> str:
    return own_server.replace("{}", r"\1")


def test_the_old_site_answers_whoever_has_asked_before_it_ends(tmp_path: Path) -> None:
    slow = {"process": "old-site", "kind": "slow", "seconds": 30, "delay": 1.5}
    with alone(tmp_path / "data") as here:
        here.start("old-site")
        here.wait_until_ready()
        settings = Settings.read(here.environ)
        with socket.socket(socket.AF_UNIX) as agent_of_it:
            agent_of_it.connect(str(agent.socket_path(settings, "old-site")))
            agent_of_it.sendall(json.dumps({"add": slow}).encode() + b"\n")
            assert agent_of_it.recv(16)

        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(30)
            asking.connect(str(settings.socket("old-site")))
            asking.sendall(b"GET / HTTP/1.1\r\nhost: old\r\n\r\n")
            time.sleep(0.3)  # so that it is at work on it
            assert here.stop("old-site") == 0
            answer = http.client.HTTPResponse(asking)
            answer.begin()
            assert (answer.status, b"</html>" in answer.read()) == (200, True)


def test_systemds_socket_outlives_the_process(tmp_path: Path) -> None:
    activate = need("systemd-socket-activate")
    with alone(tmp_path / "data") as here:
        (tmp_path / "data/run").mkdir(mode=0o700)
        path = tmp_path / "data/run/web.sock"
        settings = [part for name, value in here.environ.items() for part in ("--setenv", f"{name}={value}")]
        here.start("web", by=(activate, "--listen", str(path), *settings))
        asked = here.ask("web", "--within", "60")
        inode = path.stat().st_ino

        assert asked.returncode == 0, here.said("web")
        assert path.stat().st_ino == inode  # the process did not open one of its own
        assert here.ask("web", "--alive").returncode == 0


def test_what_is_not_there_is_not_ready(tmp_path: Path) -> None:
    with alone(tmp_path / "data") as here:
        for name in ("", "web", "envoy", "postgres-core"):
            asked = here.ask(name)
            assert (asked.returncode, "Traceback" in asked.stderr) == (1, False), asked.stderr

        here.start("learning")  # without its database it answers, and says that it waits
        alive = here.ask("learning", "--alive", "--within", "60")
        assert alive.returncode == 0, alive.stderr
        waiting = here.ask("learning")
        assert (waiting.returncode, "waiting for what it needs" in waiting.stderr) == (1, True), waiting.stderr


@contextmanager
def in_the_middle_of_a_request(here: Alone) -> Iterator[Callable[[], int]]:
    """A request of which half has been sent; call what you get to send the rest, and it answers the status."""
    body = json.dumps({"email": "learner@banyan.test", "password": "not this one"}).encode()
    connection = http.client.HTTPConnection(*here.door.address, timeout=30)
    connection.putrequest("POST", "/_banyan/api/v1/session")
    sent = {"content-type": "application/json", "content-length": str(len(body)), "origin": here.door.url}
    for name, value in sent.items():
        connection.putheader(name, value)
    connection.endheaders(body[:10])

    def finish() -> int:
        connection.send(body[10:])
        return connection.getresponse().status

    yield finish
    connection.close()


def live_through(here: Alone) -> None:
    """Pages of both sides, signing in, enrolling, and an event that arrives."""
    learner = Learner(here.door)
    for path in ("/", "/courses", "/_banyan/console"):
        assert learner.call("GET", path, accept="text/html")[0] in (200, 303), path
    assert learner.sign_in("learner@banyan.test") == 204
    items = learner.call("GET", "/_banyan/api/v1/courses?limit=100")[1]["items"]
    assert len(items) == 100
    mine = {item["course"] for item in learner.call("GET", "/_banyan/api/v1/enrolments?limit=100")[1]["items"]}
    course = next(item for item in items if item["price"] == 0 and item["slug"] not in mine)
    assert learner.enrol_until_told(course["slug"]) == 201
    _until_counted(here, course["slug"], course["learners"] + 1)


def _until_counted(here: Alone, slug: str, learners: int) -> None:
    """`live` has heard of it: by the outbox, the relay and the bus."""
    connection = http.client.HTTPConnection(*here.door.address, timeout=30)
    connection.request("GET", f"/_banyan/api/v1/courses/{slug}/live")
    answer = connection.getresponse()
    deadline = time.monotonic() + 30
    said = ""
    while f'"count": {learners}' not in said:
        line = answer.readline().decode()
        said += line
        assert line, said
        assert time.monotonic() < deadline, said
    connection.close()
