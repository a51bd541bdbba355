"""The process itself, without a supervisor: `banyan run monitor` beside another process, and what it answers."""

import gzip
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from banyan.gateway.http import health
from banyan.infra import http as server
from banyan.infra.settings import Settings

from .receivers import Webhook, until, webhook


class Asker:
    """Asks a process on its own socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(20)
            line.connect(str(self._path))
            connection = http.client.HTTPConnection("monitor")
            connection.sock = line
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def get(self, path: str) -> Any:
        status, content = self.ask("GET", path)
        assert status == 200, content
        return json.loads(content)

    def answers(self, path: str) -> bool:
        try:
            return self.ask("GET", path)[0] < 300
        except OSError:
            return False


@contextmanager
def run(name: str, settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """`banyan run NAME`, as a scheduler would."""
    log = (settings.logs / f"{name}.log").open("ab")
    environ = {**os.environ, **settings.environ()}
    command = [sys.executable, "-m", "banyan.processes.run", name]
    process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        asker = Asker(settings.socket(name))
        until(lambda: asker.answers("/ready"), within=60, what=(settings.logs / f"{name}.log").read_text)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        log.close()


def settings_in(folder: Path) -> Settings:
    found = Settings.read(
        {"BANYAN_DATA": str(folder), "BANYAN_LOOK_SECONDS": "0.1", "BANYAN_ALERT_CALM_SECONDS": "0.5"}
    )
    found.make_folders()
    return found


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_in(tmp_path_factory.mktemp("m"))


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook


@pytest.fixture(scope="module")
def monitor(settings: Settings, hook: Webhook) -> Iterator[Asker]:
    rules = f"ops = webhook {hook.url}\nprocess.away > 0 for 0.5s -> ops\nprocess.restarts > 0 for 0s -> ops\n"
    (settings.data / "alerts.rules").write_text(rules)
    with run("monitor", settings):
        yield Asker(settings.socket("monitor"))


def processes(monitor: Asker) -> dict[str, Any]:
    return {process["name"]: process for process in monitor.get("/now")["processes"]}


def states(monitor: Asker) -> dict[str, str]:
    return {name: process["state"] for name, process in processes(monitor).items()}


def started(settings: Settings, process: str) -> str:
    """When it was, as monitor has written it down."""
    found: str = json.loads((settings.run / "alerts.json").read_text())["counted"]["started"][process]
    return found


async def health_of(settings: Settings) -> httpx.Response:
    app = server.application("gateway", [health.router(settings)], settings=settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://banyan") as browser:
        return await browser.get("/_banyan/health")


async def test_without_a_supervisor_whoever_has_a_socket_is_expected(
    settings: Settings, monitor: Asker, hook: Webhook
) -> None:
    with run("web", settings) as web:
        until(lambda: states(monitor) == {"monitor": "ready", "web": "ready"}, within=20)
        until(lambda: processes(monitor)["web"]["version"], within=20)
        seen = processes(monitor)
        well = await health_of(settings)
        known = started(settings, "web")
    with run("web", settings) as web:
        until(lambda: started(settings, "web") != known, within=20)
        told = {alert["rule"] for alert in monitor.get("/alerts")["items"] if alert["subject"] == "web"}
        web.kill()
        web.wait()
        until(lambda: hook.about("web", state="firing", figure="process.away"), within=20)
        ill = await health_of(settings)

    with run("web", settings):
        until(lambda: hook.about("web", state="firing", figure="process.restarts"), within=30)
        until(lambda: hook.about("web", state="over", figure="process.away"), within=30)

    assert "process.restarts > 0 for 0s" not in told  # the first was asked to end
    assert seen["web"]["memory_bytes"] > 10_000_000
    assert seen["web"]["cpu"] is not None
    assert well.status_code == 200
    assert well.json()["details"]["processes"]["web"]["state"] == "ready"
    assert (ill.status_code, ill.json()["waiting_for"]) == (503, ["web"])
    assert str(settings.data) not in well.text + ill.text


def test_after_its_own_restart_monitor_says_so(tmp_path: Path, hook: Webhook) -> None:
    settings = settings_in(tmp_path)
    (settings.data / "alerts.rules").write_text(f"process.restarts > 0 for 0s -> webhook {hook.url}\n")
    with run("monitor", settings) as first:
        notes = settings.run / "alerts.json"
        until(lambda: notes.exists() and '"monitor"' in notes.read_text(), within=20)
        first.kill()
        first.wait()
    before = len(hook.about("monitor", figure="process.restarts"))
    with run("monitor", settings):
        asker = Asker(settings.socket("monitor"))
        until(lambda: len(hook.about("monitor", state="firing")) > before, within=20, what=lambda: asker.get("/alerts"))


def batch() -> bytes:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "web"
    resource.scope_spans.add().spans.add(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        name="GET /courses",
        start_time_unix_nano=10**18,
        end_time_unix_nano=10**18 + 3_000_000,
    )
    return request.SerializeToString()


def test_spans_come_by_http_and_are_shown_as_a_trace(monitor: Asker) -> None:
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip", "x-envoy-internal": "true"}

    sent = monitor.ask("POST", "/v1/traces", gzip.compress(batch()), headers)
    heads = monitor.get("/traces?min_ms=1&process=web")["items"]
    trace = monitor.get(f"/traces/{heads[0]['trace_id']}")

    assert sent == (200, b"")
    assert heads[0]["name"] == "GET /courses"
    assert trace["spans"][0]["took_ms"] == 3.0
    assert monitor.ask("GET", "/traces/00")[0] == 404


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\xff\xff", {"content-type": "application/x-protobuf"}, 400),
        (b"{}", {"content-type": "application/json"}, 415),
        (b"x" * 2_000_000, {"content-type": "application/x-protobuf"}, 413),
        (b"x", {"content-type": "application/x-protobuf", "content-encoding": "gzip"}, 400),
    ],
)
def test_garbage_is_refused_clearly(monitor: Asker, body: bytes, headers: dict[str, str], status: int) -> None:
    found, content = monitor.ask("POST", "/v1/traces", body, headers)

    assert found == status
    assert json.loads(content)["detail"]


def test_the_logs_are_searched_and_paged(monitor: Asker) -> None:
    first = monitor.get("/logs?limit=1")
    found = monitor.get("/logs?q=alert+rules&process=monitor")

    assert len(first["items"]) == 1
    assert found["items"][0]["event"] == "alert rules"


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "level=loud", "after=x", "q=" + "x" * 300])
def test_a_question_that_makes_no_sense_is_refused(monitor: Asker, query: str) -> None:
    assert monitor.ask("GET", f"/logs?{query}")[0] == 422


def test_prometheus_can_read_the_metrics_of_all(monitor: Asker) -> None:
    status, text = monitor.ask("GET", "/metrics-of-all")

    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert status == 200
    assert {sample.labels["process"] for sample in families["banyan_process_ready"].samples} >= {"monitor"}
    assert all("process" in sample.labels for sample in families["banyan_loop_lag_seconds"].samples)


@pytest.mark.parametrize("path", ["/now", "/traces", "/logs", "/alerts", "/metrics-of-all"])
def test_whoever_comes_through_envoy_finds_nothing(monitor: Asker, path: str) -> None:
    assert monitor.ask("GET", path, headers={"x-forwarded-for": "203.0.113.9"})[0] == 404
