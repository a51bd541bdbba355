"""How many requests are traced."""

import pytest

from banyan.gateway.domain import tracing


@pytest.mark.parametrize(
    ("requests", "wanted", "percent"),
    [(0, 10, 100), (10, 10, 100), (20, 10, 50), (1000, 10, 1), (100_000, 10, 0.01)],
)
def test_all_are_traced_while_there_are_few(requests: float, wanted: float, percent: float) -> None:
    assert tracing.share(requests, wanted=wanted) == percent


@pytest.mark.parametrize("share", [0.0, 0.05, 0.35, 1.0, 3.5, 42.42, 100.0])
def test_whole_percents_come_to_the_share_in_the_long_run(share: float) -> None:
    steps = tracing.Steps()
    told = [steps.next(share) for _ in range(2000)]
    assert sum(told) / len(told) == pytest.approx(share, abs=0.01)
    assert max(told) - min(told) <= 1


def test_a_burst_is_not_made_up_for_later() -> None:
    steps = tracing.Steps()
    for _ in range(100):
        steps.next(100.0)
    assert steps.next(0.5) <= 1
