"""What is asked of monitor, put together from what it knows."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

from banyan.contracts.monitor import Now, TraceHead
from banyan.infra.settings import Settings
from banyan.infra.supervisor.sockets import processes_with_sockets
from banyan.infra.telemetry.faces import METRICS
from banyan.kit import paging
from banyan.monitor.adapters import processes
from banyan.monitor.domain import expositions
from banyan.monitor.operations.alerts import Alerts

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ENVOY_METRICS = "/stats/prometheus"
_METRICS_SECONDS = 2.0


def now(seen: Now, alerts: Alerts) -> Now:
    """The last look, with the alerts as they are at this moment."""
    return dataclasses.replace(seen, alerts=alerts.shown(now=datetime.now(UTC)))


def trace_cursor(last: TraceHead) -> str:
    return paging.encode_cursor(round(last.took_ms * 1000), last.trace_id)


def traces_after(heads: list[TraceHead], cursor: str) -> list[TraceHead]:
    """Those that come after the last of the page before. Raises CursorNotOurs."""
    took, trace_id = paging.decode_cursor(cursor, int, str)
    return [head for head in heads if (-round(head.took_ms * 1000), head.trace_id) > (-int(str(took)), str(trace_id))]


class Metrics:
    """The Prometheus text of everybody, each sample with a label that says whose it is."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def text(self, seen: Now | None) -> bytes:
        sockets: dict[str, tuple[Path, str]] = {
            name: (path, _ENVOY_METRICS if name == "envoy" else METRICS)
            for name, path in processes_with_sockets(self._settings).items()
        }
        texts = await processes.texts(sockets, within=_METRICS_SECONDS)
        return expositions.merged({**texts, "": expositions.of_everybody(seen) if seen else ""}).encode()
