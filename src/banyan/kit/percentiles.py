"""Values counted in buckets, and what lies below which share of them."""

from collections.abc import Mapping

Bucket = tuple[float, float]
"""Lower bound and width; a width of 0 has no upper bound."""


def percentile(buckets: Mapping[Bucket, int], *, fraction: float) -> float | None:
    """The value below which that fraction lies, taking each bucket as evenly filled; None for no values."""
    filled = sorted((bucket, count) for bucket, count in buckets.items() if count > 0)
    wanted = fraction * sum(count for _, count in filled)
    seen = 0
    found = None
    for (lower, width), count in filled:
        found = lower + width * min(1.0, (wanted - seen) / count)
        seen += count
        if seen >= wanted:
            break
    return found
