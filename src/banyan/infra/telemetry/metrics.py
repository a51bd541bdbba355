"""The same figures as Prometheus reads them."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from banyan import __version__
from banyan.contracts.monitor import Depth
from banyan.infra.telemetry.figures import BOUNDS_MS, Ledger, Meter

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LE = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]


class LedgerCollector(Collector):
    """Reads a ledger when it is asked; counting costs what it costs without Prometheus."""

    def __init__(self, process: str, ledger: Ledger) -> None:
        self._process = process
        self._ledger = ledger

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        ledger = self._ledger
        about = GaugeMetricFamily("banyan_process", "Always 1.", labels=["process", "version"])
        about.add_metric([self._process, __version__], 1)
        yield about
        yield GaugeMetricFamily(
            "banyan_loop_lag_seconds", "Event loop, worst of two seconds.", ledger.loop_lag_ms / 1e3
        )
        yield GaugeMetricFamily("banyan_requests_in_flight", "Requests being worked on.", ledger.in_flight)
        yield CounterMetricFamily("banyan_requests_shed", "Requests refused because of too many.", ledger.shed)
        yield CounterMetricFamily("banyan_spans_lost", "Spans that nobody took in time.", ledger.spans_lost)
        yield self._requests()
        yield from _metered("banyan_call", "Calls of a service.", "peer", ledger.calls)
        yield from _metered("banyan_sql", "SQL statements.", "database", ledger.sql)
        yield from _metered("banyan_event", "Events handled.", "consumer", ledger.handled)
        published = CounterMetricFamily("banyan_events_published", "Events brought to the bus.", labels=["source"])
        for source, count in ledger.published.items():
            published.add_metric([source], count)
        yield published
        yield from self._pools()
        yield from _depths("banyan_outbox", "Events to be published", "source", ledger.outboxes)
        yield from _depths("banyan_queue", "Events to be handled", "consumer", ledger.queues)
        letters = GaugeMetricFamily("banyan_dead_letters", "Events not handled.", labels=["consumer", "state"])
        for consumer, found in ledger.letters.items():
            letters.add_metric([consumer, "dead"], found.dead)
            letters.add_metric([consumer, "parked"], found.parked)
        yield letters

    def _requests(self) -> Metric:
        labels = ["method", "route", "status"]
        family = HistogramMetricFamily("banyan_http_request_seconds", "Requests answered.", labels=labels)
        for (method, route, status), meter in self._ledger.requests.items():
            family.add_metric([method, route, f"{status}xx"], _buckets(meter), meter.seconds)
        return family

    def _pools(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("banyan_pool_connections", "Pools of connections.", labels=["database", "state"])
        for database, pool in self._ledger.fill().items():
            for state, count in (("used", pool.used), ("size", pool.size), ("waiting", pool.waiting)):
                family.add_metric([database, state], count)
        yield family


def registry_of(process: str, ledger: Ledger) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(process, ledger))
    ProcessCollector(registry=registry)
    return registry


def text(registry: CollectorRegistry) -> bytes:
    return generate_latest(registry)


def _buckets(meter: Meter) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    total = 0
    for le, count in zip(_LE, meter.counts, strict=True):
        total += count
        buckets.append((le, total))
    return buckets


def _metered(name: str, what: str, label: str, meters: Mapping[str, Meter]) -> Iterator[Metric]:
    took = HistogramMetricFamily(f"{name}_seconds", what, labels=[label])
    failed = CounterMetricFamily(f"{name}_failures", f"{what} Those that failed.", labels=[label])
    for key, meter in meters.items():
        took.add_metric([key], _buckets(meter), meter.seconds)
        failed.add_metric([key], meter.failed)
    yield took
    yield failed


def _depths(name: str, what: str, label: str, depths: Mapping[str, Depth]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(f"{name}_waiting", f"{what}.", labels=[label])
    oldest = GaugeMetricFamily(f"{name}_oldest_seconds", f"{what}: how long the oldest has waited.", labels=[label])
    for key, depth in depths.items():
        waiting.add_metric([key], depth.waiting)
        oldest.add_metric([key], depth.oldest_seconds)
    yield waiting
    yield oldest
