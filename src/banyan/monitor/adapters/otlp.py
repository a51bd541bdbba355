"""OTLP/HTTP as protobuf: what Envoy and every process send of their spans."""

import zlib
from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from banyan.kit.errors import Refused
from banyan.monitor.domain.traces import FoundSpan

MEDIA_TYPE = "application/x-protobuf"

_MOST_BYTES = 8_000_000
_MOST_ATTRIBUTES = 40
_LONGEST = 300
_OVERHEAD = 400
_KINDS = {2: "server", 3: "client", 4: "producer", 5: "consumer"}


class NotOtlp(Refused):
    """This is not an ExportTraceServiceRequest as protobuf."""

    status = 400


class NotGzip(Refused):
    """The body says that it is gzip and is not, or it is cut off."""

    status = 400


class TooMuchInside(Refused):
    """The body unpacks to more than is taken here."""

    status = 413


class EncodingUnknown(Refused):
    """Bodies are taken as they are or as gzip."""

    status = 415


class NotProtobuf(Refused):
    """Spans are taken as application/x-protobuf; set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf."""

    status = 415


def decode(body: bytes, *, media_type: str, encoding: str) -> list[FoundSpan]:
    """Raises a refusal for whatever is not a batch of spans. A span without a proper id or time is left out."""
    if media_type.partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise NotProtobuf
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(_unpacked(body, encoding.strip().lower()))
    except DecodeError:
        raise NotOtlp from None
    return list(_spans(request))


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise EncodingUnknown
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(body, _MOST_BYTES)
    except zlib.error:
        raise NotGzip from None
    if unpacking.unconsumed_tail:
        raise TooMuchInside(f"At most {_MOST_BYTES} bytes are taken here.")
    if not unpacking.eof:
        raise NotGzip
    return content


def _spans(request: ExportTraceServiceRequest) -> Iterator[FoundSpan]:
    for resource in request.resource_spans:
        process = _attributes(resource.resource.attributes).get("service.name", "?")
        for scope in resource.scope_spans:
            for span in scope.spans:
                if len(span.trace_id) == 16 and len(span.span_id) == 8 and span.start_time_unix_nano:
                    yield _span(span, process)


def _span(span: trace_pb2.Span, process: str) -> FoundSpan:
    attributes = _attributes(span.attributes)
    failed = span.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    if failed and span.status.message:
        attributes["error"] = _text(span.status.message)
    name = _text(span.name)
    return FoundSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex() if len(span.parent_span_id) == 8 else None,
        process=process,
        name=name,
        kind=_KINDS.get(span.kind, "internal"),
        start=span.start_time_unix_nano,
        end=max(span.start_time_unix_nano, span.end_time_unix_nano),
        error=failed,
        attributes=attributes,
        size=_OVERHEAD + 2 * len(name) + sum(150 + len(key) + len(value) for key, value in attributes.items()),
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        if len(found) >= _MOST_ATTRIBUTES:
            break
        found[_text(pair.key)] = _text(_value(pair.value))
    return found


def _value(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    if kind == "array_value":
        return ", ".join(_value(item) for item in value.array_value.values[:_MOST_ATTRIBUTES])
    found = getattr(value, kind)
    return str(found).lower() if kind == "bool_value" else str(found)


def _text(text: str) -> str:
    return text[:_LONGEST]
