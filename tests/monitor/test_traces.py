"""Traces whose spans come late and from several processes, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from banyan.monitor.domain.traces import FoundSpan, TraceStore

MS = 1_000_000
START = 1_760_000_000 * 10**9


def span(
    trace: int,
    number: int,
    *,
    parent: int | None = None,
    process: str = "web",
    at: float = 0,
    took: float = 5,
    error: bool = False,
    size: int = 500,
    **attributes: str,
) -> FoundSpan:
    """`at` and `took` are milliseconds."""
    start = START + int(at * MS)
    return FoundSpan(
        trace_id=f"{trace:032x}",
        span_id=f"{number:016x}",
        parent_id=None if parent is None else f"{parent:016x}",
        process=process,
        name=f"span {number}",
        kind="server",
        start=start,
        end=start + int(took * MS),
        error=error,
        attributes=attributes,
        size=size,
    )


def test_spans_of_one_trace_come_late_and_in_any_order_and_make_one_waterfall() -> None:
    traces = TraceStore()
    traces.add([span(1, 3, parent=2, process="learning", at=3, took=2)], now=0)
    traces.add([span(1, 2, parent=1, process="web", at=1, took=6)], now=5)
    traces.add([span(1, 1, process="envoy", at=0, took=8, request_id="abc")], now=9)
    traces.add([span(1, 4, parent=3, process="relay", at=400, took=1)], now=10)

    (head,) = traces.heads()
    found = traces.find(head.trace_id)

    assert (head.name, head.took_ms, head.spans, head.request_id) == ("span 1", 8.0, 4, "abc")
    assert head.processes == ["envoy", "web", "learning", "relay"]
    assert found is not None
    assert [(each.process, each.start_ms, each.took_ms) for each in found.spans] == [
        ("envoy", 0.0, 8.0),
        ("web", 1.0, 6.0),
        ("learning", 3.0, 2.0),
        ("relay", 400.0, 1.0),
    ]
    assert found.took_ms == 401.0


def test_a_span_that_is_sent_twice_counts_once() -> None:
    traces = TraceStore()
    traces.add([span(1, 1), span(1, 1)], now=0)
    traces.add([span(1, 1)], now=1)

    assert traces.heads()[0].spans == 1
    assert traces.size == 500


def test_the_slowest_come_first_and_filters_leave_out_the_rest() -> None:
    traces = TraceStore()
    traces.add([span(1, 1, took=5), span(2, 1, took=50, error=True), span(3, 1, took=20, process="iam")], now=0)

    def shown(**filters: object) -> list[int]:
        return [int(head.trace_id, 16) for head in traces.heads(**filters)]  # type: ignore[arg-type] # as they come

    assert shown() == [2, 3, 1]
    assert shown(min_ms=10) == [2, 3]
    assert shown(process="iam") == [3]
    assert shown(errors=True) == [2]


def test_an_unknown_trace_is_none() -> None:
    assert TraceStore().find("00") is None


def test_what_is_old_and_quick_goes_first_and_what_was_slow_or_failed_stays() -> None:
    traces = TraceStore(most_traces=10)
    traces.add([span(1, 1, took=4000), span(2, 1, error=True)], now=0)
    for number in range(3, 200):
        traces.add([span(number, 1)], now=number)

    kept = {int(head.trace_id, 16) for head in traces.heads()}

    assert {1, 2} <= kept
    assert 199 in kept
    assert len(kept) <= 10


def test_even_the_slow_ones_go_in_the_end() -> None:
    traces = TraceStore(most_traces=10)
    traces.add([span(1, 1, took=4000, error=True)], now=0)
    for number in range(2, 40):
        traces.add([span(number, 1)], now=4000 + number)

    assert traces.find(f"{1:032x}") is None


def test_one_trace_without_end_does_not_take_all_the_space() -> None:
    traces = TraceStore()
    traces.add([span(1, number) for number in range(1, 5000)], now=0)

    assert traces.heads()[0].spans == 500
    assert traces.size == 500 * 500


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 5), st.integers(100, 3000), st.booleans()), max_size=200))
def test_it_never_holds_more_than_it_may(sent: list[tuple[int, int, int, bool]]) -> None:
    traces = TraceStore(most_traces=8, most_bytes=10_000)
    for now, (trace, number, size, error) in enumerate(sent):
        traces.add([span(trace, number, size=size, error=error)], now=now)
        assert len(traces) <= 8
        assert traces.size <= 10_000
