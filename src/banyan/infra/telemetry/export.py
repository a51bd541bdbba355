"""Spans by the OpenTelemetry SDK, and their way out: collected, encoded and sent beside the event loop.

Nothing here may be felt by a request: what cannot be sent is dropped, counted, and mentioned once a minute.
"""

import http.client
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

import structlog

from banyan import __version__
from banyan.infra.settings import Settings
from banyan.infra.telemetry import tracing
from banyan.infra.telemetry.figures import LEDGER

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

log = structlog.get_logger()

PATH = "/v1/traces"

_MOST_WAITING = 2048
_BATCH = 256
_COLLECT_SECONDS = 0.5
_SEND_SECONDS = 2.0
_PAUSE_SECONDS = 5.0
_SAY_SECONDS = 60.0
_FLUSH_SECONDS = 1.0
_LOAD_AFTER_SECONDS = 0.5


class NotTaken(Exception):
    """The other side answered, but did not take the spans."""


class Receiver(Protocol):
    """Somebody who takes spans; used by one thread."""

    def send(self, spans: "Sequence[ReadableSpan]") -> None:
        """Raises whatever is wrong."""
        ...

    def close(self) -> None: ...


class Outlet:
    """One receiver's queue and the thread that empties it. `put` never waits."""

    def __init__(self, name: str, receiver: Receiver, *, pause: float = _PAUSE_SECONDS) -> None:
        self._name = name
        self._receiver = receiver
        self._pause = pause
        self._waiting: deque[ReadableSpan] = deque()
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._said = float("-inf")
        self._thread = threading.Thread(target=self._run, name=f"traces to {name}", daemon=True)
        self._thread.start()

    def put(self, span: "ReadableSpan") -> None:
        if len(self._waiting) >= _MOST_WAITING:
            LEDGER.spans_lost += 1
            return
        self._waiting.append(span)
        if not self._woken.is_set():
            self._woken.set()

    def end(self, *, patience: float = _FLUSH_SECONDS) -> None:
        """Send what waits, if that is quick."""
        self._ending.set()
        self._woken.set()
        self._thread.join(patience)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._woken.wait()
            self._ending.wait(_COLLECT_SECONDS)
            self._woken.clear()
            if not self._empty():
                self._ending.wait(self._pause)
        self._receiver.close()

    def _empty(self) -> bool:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            try:
                self._receiver.send(batch)
            except Exception as fault:
                LEDGER.spans_lost += len(batch)
                if time.monotonic() - self._said > _SAY_SECONDS:
                    self._said = time.monotonic()
                    log.warning("traces are not taken", receiver=self._name, reason=repr(fault))
                return False
        return True


class Monitor:
    """On its Unix socket, by one connection that is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: _UnixConnection | None = None

    def send(self, spans: "Sequence[ReadableSpan]") -> None:
        from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

        body = encode_spans(spans).SerializeToString()
        known = self._connection is not None
        try:
            self._post(body)
        except (OSError, http.client.HTTPException):
            self.close()
            if not known:
                raise
            self._post(body)  # a connection that was idle may have been closed meanwhile

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _post(self, body: bytes) -> None:
        if self._connection is None:
            self._connection = _UnixConnection(self._path)
        self._connection.request("POST", PATH, body, {"content-type": "application/x-protobuf"})
        answer = self._connection.getresponse()
        answer.read()
        if not 200 <= answer.status < 300:
            raise NotTaken(f"answered {answer.status}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("monitor", timeout=_SEND_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SEND_SECONDS)
        self.sock.connect(str(self._path))


class Collector:
    """Somebody's own, by the SDK's exporter."""

    def __init__(self, url: str, headers: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        # It would say at every try what the outlet says once a minute.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        endpoint = url if urlsplit(url).path.strip("/") else url.rstrip("/") + PATH
        self._exporter = OTLPSpanExporter(endpoint, headers=parsed(headers), timeout=_SEND_SECONDS)

    def send(self, spans: "Sequence[ReadableSpan]") -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter.export(spans) is not SpanExportResult.SUCCESS:
            raise NotTaken("the collector did not take them")

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # as the SDK has it


def parsed(headers: str) -> dict[str, str]:
    """`name=value,name=value`; what is no such pair is left out."""
    pairs = (pair.partition("=") for pair in headers.split(","))
    return {unquote(name.strip()): unquote(value.strip()) for name, found, value in pairs if found and name.strip()}


class Recorder:
    """What a process traces with, from `begin` to `end`."""

    def __init__(self, process: str, receivers: dict[str, Receiver]) -> None:
        from banyan.infra.telemetry.sdk import SdkMaker

        self._outlets = [Outlet(name, receiver) for name, receiver in receivers.items()]
        self.maker = SdkMaker(process, __version__, self._take)

    def end(self) -> None:
        for outlet in self._outlets:
            outlet.end()

    def _take(self, span: "ReadableSpan") -> None:
        for outlet in self._outlets:
            outlet.put(span)


class Beginning:
    """The SDK takes a while to load, so it is done beside everything else; what comes before is not traced."""

    def __init__(self, process: str, settings: Settings) -> None:
        self._process = process
        self._settings = settings
        self._recorder: Recorder | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._load, name="traces", daemon=True)
        if settings.traces > 0:
            self._thread.start()

    def end(self) -> None:
        self._ended.set()
        tracing.make_by(None)
        if self._recorder is not None:
            self._recorder.end()

    def _load(self) -> None:
        if self._ended.wait(_LOAD_AFTER_SECONDS):
            return
        receivers: dict[str, Receiver] = {"monitor": Monitor(self._settings.socket("monitor"))}
        if self._settings.otlp_url:
            receivers["collector"] = Collector(self._settings.otlp_url, self._settings.otlp_headers)
        recorder = Recorder(self._process, receivers)
        if not self._ended.is_set():
            self._recorder = recorder
            tracing.make_by(recorder.maker)
