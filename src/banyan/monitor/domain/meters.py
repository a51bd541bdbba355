"""From counters that only grow, and begin anew with their process, to what happened in the last ten seconds."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from banyan.contracts.monitor import Tally
from banyan.kit.percentiles import Bucket, percentile

WINDOW = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Count:
    """A counter as it was read; the buckets are milliseconds."""

    total: int = 0
    failed: int = 0
    buckets: Mapping[Bucket, int] = field(default_factory=dict)

    def plus(self, other: "Count") -> "Count":
        return Count(self.total + other.total, self.failed + other.failed, _added(self.buckets, other.buckets))

    def is_after(self, other: "Count") -> bool:
        """Whether this can be the same counter, read later."""
        return self.total >= other.total and self.failed >= other.failed


@dataclass(frozen=True, slots=True)
class Recent:
    """What happened in `seconds`."""

    seconds: float
    total: int
    failed: int
    buckets: Mapping[Bucket, int]

    @property
    def per_second(self) -> float:
        return self.total / self.seconds

    @property
    def failed_per_second(self) -> float:
        return self.failed / self.seconds

    def percentile(self, fraction: float) -> float | None:
        return percentile(self.buckets, fraction=fraction)

    def plus(self, other: "Recent") -> "Recent":
        """Both together, where they are about the same time."""
        return Recent(
            max(self.seconds, other.seconds),
            self.total + other.total,
            self.failed + other.failed,
            _added(self.buckets, other.buckets),
        )


class Meter:
    """One counter, read again and again."""

    def __init__(self) -> None:
        self._gone = Count()  # what was counted by those that have ended
        self._read: Count | None = None
        self._whole = Count()
        self._epoch: datetime | None = None
        self._samples: deque[tuple[datetime, Count]] = deque()

    def note(self, count: Count, *, at: datetime, epoch: datetime | None = None) -> None:
        """`epoch` is when the counter began, where that is known: another one is another counter."""
        if self._samples and at <= self._samples[-1][0]:
            self._samples.clear()  # the clock was put back
        if self._read is None:
            if epoch is not None and at - WINDOW <= epoch < at:
                self._samples.append((epoch, Count()))
        elif epoch != self._epoch or not count.is_after(self._read):
            self._gone, self._read = self._whole, Count()
        if count != self._read:
            self._whole = self._gone.plus(count)
        self._read, self._epoch = count, epoch
        self._samples.append((at, self._whole))
        while len(self._samples) > 2 and self._samples[1][0] <= at - WINDOW:
            self._samples.popleft()

    def recent(self, *, at: datetime, window: timedelta = WINDOW) -> Recent | None:
        """The last ten seconds, or less, or as much of them as was seen; None where nothing was seen in them."""
        if len(self._samples) < 2 or self._samples[-1][0] <= at - window:
            return None
        first = max((i for i, (seen, _) in enumerate(self._samples) if seen <= at - window), default=0)
        first = min(first, len(self._samples) - 2)
        (start, before), (end, after) = self._samples[first], self._samples[-1]
        added = {bucket: count - before.buckets.get(bucket, 0) for bucket, count in after.buckets.items()}
        return Recent(
            (end - start).total_seconds(),
            after.total - before.total,
            after.failed - before.failed,
            {bucket: count for bucket, count in added.items() if count > 0},
        )


def count_of(tally: Tally) -> Count:
    """A process's own figure."""
    buckets: dict[Bucket, int] = {}
    lower = 0.0
    for bound, count in zip([*tally.took.bounds_ms, None], tally.took.counts, strict=False):
        if count:
            buckets[(lower, 0.0 if bound is None else bound - lower)] = count
        lower = lower if bound is None else bound
    return Count(tally.total, tally.failed, buckets)


def _added(one: Mapping[Bucket, int], other: Mapping[Bucket, int]) -> Mapping[Bucket, int]:
    if not one or not other:
        return one or other
    return {bucket: one.get(bucket, 0) + other.get(bucket, 0) for bucket in {*one, *other}}
