"""Percentiles, medians and the bystander rule. No I/O."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of the values do not exceed."""
    if not values:
        raise ValueError("a percentile of nothing")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def median_difference(values: Sequence[float], others: Sequence[float]) -> float:
    """Round by round, so that what disturbed a whole round cancels out."""
    return statistics.median(value - other for value, other in zip(values, others, strict=True))


def due_times(*, start: float, rate: float, seconds: float) -> list[float]:
    """When an open-loop generator owes its requests, whatever became of the ones before."""
    return [start + number / rate for number in range(max(1, round(rate * seconds)))]


@dataclass(frozen=True, slots=True)
class Window:
    """What visitors of one page saw in a few seconds; milliseconds."""

    p50: float
    p99: float
    failed: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The bystander rule on medians of windows: none failed, p50 <= 1.2x idle, p99 <= max(2x idle, idle + 10 ms)."""

    p50: float
    p99: float
    failed: int
    p50_limit: float
    p99_limit: float

    @property
    def holds(self) -> bool:
        return self.failed == 0 and self.p50 <= self.p50_limit and self.p99 <= self.p99_limit


def bystander(*, idle: Sequence[Window], disturbed: Sequence[Window]) -> Verdict:
    idle_p99 = median([window.p99 for window in idle])
    return Verdict(
        p50=median([window.p50 for window in disturbed]),
        p99=median([window.p99 for window in disturbed]),
        failed=sum(window.failed for window in disturbed),
        p50_limit=1.2 * median([window.p50 for window in idle]),
        p99_limit=max(2 * idle_p99, idle_p99 + 10),
    )
