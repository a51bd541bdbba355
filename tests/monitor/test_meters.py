"""Rates and percentiles from counters that begin anew now and then."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from banyan.contracts.monitor import Histogram, Tally
from banyan.kit.percentiles import percentile
from banyan.monitor.domain.meters import Count, Meter, count_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_rate_is_that_of_the_last_ten_seconds() -> None:
    meter = Meter()
    for second in range(31):
        meter.note(Count(total=second * 3), at=NOON + second * SECOND)
    for second in range(31, 41):
        meter.note(Count(total=90), at=NOON + second * SECOND)

    busy, quiet = meter.recent(at=NOON + 35 * SECOND), meter.recent(at=NOON + 40 * SECOND)

    assert busy is not None
    assert quiet is not None
    assert quiet.per_second == 0
    assert quiet.seconds == 10


def test_the_first_look_counts_nothing_of_what_was_before() -> None:
    meter = Meter()
    meter.note(Count(total=1_000_000), at=NOON, epoch=NOON - timedelta(days=3))

    assert meter.recent(at=NOON) is None

    meter.note(Count(total=1_000_005), at=NOON + SECOND, epoch=NOON - timedelta(days=3))
    recent = meter.recent(at=NOON + SECOND)
    assert recent is not None
    assert recent.total == 5


def test_a_process_that_has_just_begun_is_counted_from_its_beginning() -> None:
    meter = Meter()

    meter.note(Count(total=8), at=NOON + 2 * SECOND, epoch=NOON)

    recent = meter.recent(at=NOON + 2 * SECOND)
    assert recent is not None
    assert recent.per_second == 4


def test_what_is_silent_for_ten_seconds_has_no_rate() -> None:
    meter = Meter()
    meter.note(Count(total=1), at=NOON)
    meter.note(Count(total=2), at=NOON + SECOND)

    assert meter.recent(at=NOON + 9 * SECOND) is not None
    assert meter.recent(at=NOON + 11 * SECOND) is None


def test_a_clock_that_is_put_back_does_not_stop_the_meter() -> None:
    meter = Meter()
    meter.note(Count(total=1), at=NOON)
    meter.note(Count(total=2), at=NOON + SECOND)
    meter.note(Count(total=3), at=NOON - timedelta(hours=1))
    meter.note(Count(total=7), at=NOON - timedelta(hours=1) + SECOND)

    recent = meter.recent(at=NOON - timedelta(hours=1) + SECOND)

    assert recent is not None
    assert recent.total == 4


# What happened between two looks: so many requests, or the process was started again and then so many.
HAPPENED = st.lists(st.tuples(st.booleans(), st.integers(0, 50)), min_size=1, max_size=9)


@given(HAPPENED, st.booleans())
def test_restarts_neither_invent_requests_nor_lose_those_of_the_new_process(
    happened: list[tuple[bool, int]], says_when_it_began: bool
) -> None:
    meter = Meter()
    began = NOON - timedelta(minutes=5) if says_when_it_began else None
    counter = 40
    meter.note(Count(counter), at=NOON, epoch=began)
    for number, (restarted, requests) in enumerate(happened, start=1):
        at = NOON + number * SECOND
        if restarted:
            counter = 0
            began = at - SECOND / 2 if says_when_it_began else None
        counter += requests
        meter.note(Count(counter), at=at, epoch=began)

    recent = meter.recent(at=NOON + len(happened) * SECOND)

    assert recent is not None
    truth = sum(requests for _, requests in happened)
    if says_when_it_began or not any(restarted for restarted, _ in happened):
        assert recent.total == truth
    else:
        # A new counter that has passed the old one cannot be told from it; it never counts more than there was.
        assert 0 <= recent.total <= truth


BUCKETS = st.dictionaries(st.tuples(st.integers(0, 100).map(float), st.just(1.0)), st.integers(0, 100))


@given(BUCKETS)
def test_percentiles_lie_in_a_bucket_that_is_filled_and_rise(buckets: dict[tuple[float, float], int]) -> None:
    found = [percentile(buckets, fraction=fraction) for fraction in (0.01, 0.5, 0.9, 0.99, 1.0)]

    if not any(buckets.values()):
        assert found == [None] * 5
        return
    values = [value for value in found if value is not None]
    assert values == sorted(values)
    filled = [lower for (lower, _), count in buckets.items() if count]
    assert all(any(lower <= value <= lower + 1 for lower in filled) for value in values)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=200))
def test_half_of_the_values_lie_below_the_median_bucket(values: list[int]) -> None:
    buckets: dict[tuple[float, float], int] = {}
    for value in values:
        buckets[(float(value), 1.0)] = buckets.get((float(value), 1.0), 0) + 1

    median = percentile(buckets, fraction=0.5)

    assert median is not None
    assert sum(value < median for value in values) >= len(values) / 2
    assert sum(value + 1 > median for value in values) >= len(values) / 2


def test_a_tally_over_every_bound_counts_as_the_last_bound() -> None:
    took = Histogram(bounds_ms=[1.0, 10.0, 100.0], counts=[0, 0, 0, 4])

    count = count_of(Tally(total=4, failed=1, took=took))

    assert percentile(count.buckets, fraction=0.99) == 100.0
    assert count_of(Tally(2, 0, Histogram([1.0, 10.0], [1, 1, 0]))).buckets == {(0.0, 1.0): 1, (1.0, 9.0): 1}
