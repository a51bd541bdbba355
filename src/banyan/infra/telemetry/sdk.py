"""The OpenTelemetry SDK. Imported late: it takes a tenth of a second."""

from collections.abc import Callable

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, set_span_in_context

from banyan.infra.telemetry.tracing import Attributes, Kind

_KINDS: dict[Kind, SpanKind] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class SdkMaker:
    """Whether something is traced was decided before: all that it is asked for, it makes."""

    def __init__(self, process: str, version: str, take: Callable[[ReadableSpan], None]) -> None:
        about = {"service.name": process, "service.version": version, "service.namespace": "banyan"}
        provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource(about), shutdown_on_exit=False)
        provider.add_span_processor(_Taker(take))
        self._tracer = provider.get_tracer("banyan", version)

    def start(self, name: str, kind: Kind, parent: str | Span, attributes: Attributes) -> Span:
        known = parent if isinstance(parent, Span) else NonRecordingSpan(_context(parent))
        return self._tracer.start_span(name, set_span_in_context(known), _KINDS[kind], attributes)


class _Taker(SpanProcessor):
    def __init__(self, take: Callable[[ReadableSpan], None]) -> None:
        self._take = take

    def on_end(self, span: ReadableSpan) -> None:
        self._take(span)


def _context(traceparent: str) -> SpanContext:
    """A traceparent that says nothing becomes a trace of its own."""
    try:
        trace_id, span_id = int(traceparent[3:35], 16), int(traceparent[36:52], 16)
    except ValueError:
        trace_id = span_id = 0
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
