"""Live figures out of counters that only grow."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from banyan.gateway import jobs
from banyan.gateway.domain.traffic import KEPT, Totals, Traffic
from banyan.infra import envoy_stats
from banyan.kit.percentiles import percentile

START = datetime(2026, 11, 24, tzinfo=UTC)


def seen(traffic: Traffic, *looks: dict[str, Totals], every: float = 1.0) -> None:
    for number, clusters in enumerate(looks):
        traffic.note(clusters, at=START + timedelta(seconds=number * every))


def test_a_rate_is_what_was_added_between_two_looks_over_all_clusters_of_a_side() -> None:
    traffic = Traffic()

    seen(
        traffic,
        {"old~a": Totals(100, 5), "old~b": Totals(10), "new~a": Totals(7)},
        {"old~a": Totals(104, 6), "old~b": Totals(16), "new~a": Totals(7)},
        every=2.0,
    )

    assert [(point.requests, point.errors) for point in traffic.points("old")] == [(5.0, 0.5)]
    assert [(point.requests, point.errors) for point in traffic.points("new")] == [(0.0, 0.0)]


def test_a_new_envoy_counts_from_zero_and_nothing_turns_negative() -> None:
    traffic = Traffic()

    seen(
        traffic,
        {"old~a": Totals(1000, 9, {(1.0, 1.0): 1000})},
        {"old~a": Totals(3, 1, {(50.0, 1.0): 3})},
        {"new~b": Totals(2)},
    )

    assert [(point.requests, point.errors) for point in traffic.points("old")] == [(3.0, 1.0), (0.0, 0.0)]
    assert traffic.points("old")[0].p99 == pytest.approx(51, abs=0.1)
    assert [point.requests for point in traffic.points("new")] == [0.0, 2.0]


def test_what_happened_while_envoy_was_away_belongs_to_no_second() -> None:
    traffic = Traffic()
    seen(traffic, {"old~a": Totals(1)}, {"old~a": Totals(2)})

    traffic.lose_sight()
    for second, requests in ((60, 900), (61, 903)):
        traffic.note({"old~a": Totals(requests)}, at=START + timedelta(seconds=second))

    assert [point.requests for point in traffic.points("old")] == [1.0, 3.0]


def test_p99_forgets_after_ten_seconds() -> None:
    traffic = Traffic()
    slow = {(900.0, 10.0): 1}
    looks = [{"new~a": Totals()}, {"new~a": Totals(1, 0, slow)}]
    looks += [{"new~a": Totals(1 + n, 0, {**slow, (2.0, 1.0): n})} for n in range(1, 15)]

    seen(traffic, *looks)

    figures = [point.p99 for point in traffic.points("new")]
    assert figures[0] == pytest.approx(910, abs=1)
    assert figures[9] is not None
    assert figures[9] > 900
    assert figures[12] is not None
    assert figures[12] < 4


def test_without_requests_there_is_no_p99() -> None:
    traffic = Traffic()

    seen(traffic, {"new~a": Totals(5, 0, {(1.0, 1.0): 5})}, {"new~a": Totals(5, 0, {(1.0, 1.0): 5})})

    assert [point.p99 for point in traffic.points("new")] == [None]


def test_five_minutes_are_kept() -> None:
    traffic = Traffic()

    seen(traffic, *({"old~a": Totals(n)} for n in range(1000)))

    points = traffic.points("old")
    assert len(points) == KEPT.total_seconds()
    assert points[-1].at == START + timedelta(seconds=999)


@pytest.mark.parametrize(
    ("buckets", "p99"),
    [
        ({}, None),
        ({(0.0, 0.0): 3}, 0.0),
        ({(10.0, 1.0): 100}, 10.99),
        ({(1.0, 1.0): 99, (500.0, 10.0): 1}, 2.0),
        ({(1.0, 1.0): 98, (500.0, 10.0): 2}, 505.0),
        ({(500.0, 10.0): 2, (1.0, 1.0): 98}, 505.0),
    ],
)
def test_the_percentile_of_buckets(buckets: dict[tuple[float, float], int], p99: float | None) -> None:
    found = percentile(buckets, fraction=0.99)

    assert found == (None if p99 is None else pytest.approx(p99))


def test_envoys_answer_is_read_and_who_looks_is_not_counted() -> None:
    answer = b"""{"stats": [
        {"name": "cluster.old~_rest.upstream_rq_total", "value": 7},
        {"name": "cluster.old~_rest.upstream_rq_5xx", "value": 2},
        {"name": "cluster.new~_console.upstream_rq_total", "value": 99},
        {"name": "cluster.new~a.upstream_rq_total", "value": 1},
        {"histograms": {"supported_percentiles": [0], "details": [
            {"name": "cluster.old~_rest.external.upstream_rq_time", "totals": [], "intervals": []},
            {"name": "cluster.old~_rest.upstream_rq_time", "intervals": [],
             "totals": [{"lower_bound": 12, "width": 1, "count": 7}]}]}}]}"""

    found = jobs.totals_of(envoy_stats.upstreams_in(msgspec.json.decode(answer, type=envoy_stats.Stats)))

    assert found == {"old~_rest": Totals(7, 2, {(12.0, 1.0): 7}), "new~a": Totals(1)}
