"""Spans as Envoy and the SDK send them, and what is not spans."""

import contextlib
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from banyan.kit.errors import Refusal
from banyan.monitor.adapters import otlp
from banyan.monitor.domain.traces import TraceStore

TRACE, SPAN = bytes(range(16)), bytes(range(8))


def batch(**changes: object) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    service = resource.resource.attributes.add(key="service.name")
    service.value.string_value = "learning"
    span = resource.scope_spans.add().spans.add(
        trace_id=TRACE,
        span_id=SPAN,
        name="GET /courses",
        kind=2,
        start_time_unix_nano=10**18,
        end_time_unix_nano=10**18 + 7_000_000,
    )
    for name, value in changes.items():
        setattr(span, name, value)
    status = span.attributes.add(key="http.status_code")
    status.value.int_value = 200
    many = span.attributes.add(key="list")
    for word in ("a", "b"):
        many.value.array_value.values.add(string_value=word)
    return request


def decode(body: bytes, *, media_type: str = "application/x-protobuf", encoding: str = "") -> list[otlp.FoundSpan]:
    return otlp.decode(body, media_type=media_type, encoding=encoding)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_span_is_read_with_its_process_kind_and_attributes(zipped: bool) -> None:
    body = batch().SerializeToString()

    (span,) = decode(gzip.compress(body) if zipped else body, encoding="gzip" if zipped else "")

    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE.hex(), SPAN.hex(), None)
    assert (span.process, span.name, span.kind, span.error) == ("learning", "GET /courses", "server", False)
    assert span.end - span.start == 7_000_000
    assert span.attributes == {"http.status_code": "200", "list": "a, b"}


def test_a_failed_span_says_why() -> None:
    request = batch()
    status = request.resource_spans[0].scope_spans[0].spans[0].status
    status.code = 2
    status.message = "no database"

    (span,) = decode(request.SerializeToString())

    assert span.error
    assert span.attributes["error"] == "no database"


@pytest.mark.parametrize("changes", [{"trace_id": b"x"}, {"span_id": b""}, {"start_time_unix_nano": 0}])
def test_a_span_without_a_proper_id_or_time_is_left_out(changes: dict[str, object]) -> None:
    assert decode(batch(**changes).SerializeToString()) == []


def test_times_and_texts_beyond_all_bounds_are_cut() -> None:
    request = batch(name="n" * 10_000, end_time_unix_nano=2**64 - 1)

    (span,) = decode(request.SerializeToString())

    assert len(span.name) == 300
    traces = TraceStore()
    traces.add([span], now=0)
    assert traces.heads()[0].took_ms > 0


@pytest.mark.parametrize(
    ("body", "kwargs", "refusal"),
    [
        (b"\xff\xff\xff", {}, otlp.NotOtlp),
        (b"{}", {"media_type": "application/json"}, otlp.NotProtobuf),
        (b"", {"media_type": ""}, otlp.NotProtobuf),
        (b"no gzip", {"encoding": "gzip"}, otlp.NotGzip),
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], {"encoding": "gzip"}, otlp.NotGzip),
        (gzip.compress(bytes(20_000_000), mtime=0), {"encoding": "gzip"}, otlp.TooMuchInside),
        (b"", {"encoding": "br"}, otlp.EncodingUnknown),
    ],
)
def test_what_is_no_batch_of_spans_is_refused(body: bytes, kwargs: dict[str, str], refusal: type[Refusal]) -> None:
    with pytest.raises(refusal) as caught:
        decode(body, **kwargs)

    assert 400 <= caught.value.status < 500


@given(st.binary(max_size=200))
def test_no_bytes_whatsoever_are_more_than_a_refusal(body: bytes) -> None:
    with contextlib.suppress(otlp.NotOtlp):
        decode(body)
