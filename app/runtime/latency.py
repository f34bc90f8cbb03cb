"""Latency histograms that cost a fraction of a microsecond to feed and never grow.

Buckets are an eighth of a power of two wide, so a percentile is right to about
6 %, which is finer than what a shared machine repeats.
"""

_SUB_BITS = 3
_SUB = 1 << _SUB_BITS
_BUCKETS = 40 << _SUB_BITS


def _bucket_of(nanoseconds: int) -> int:
    if nanoseconds < _SUB:
        return max(nanoseconds, 0)
    exponent = nanoseconds.bit_length() - _SUB_BITS - 1
    return min((exponent << _SUB_BITS) + (nanoseconds >> exponent), _BUCKETS - 1)


def _middle_of(bucket: int) -> float:
    if bucket < _SUB:
        return float(bucket)
    exponent = (bucket >> _SUB_BITS) - 1
    low = (_SUB + (bucket & (_SUB - 1))) << exponent
    return low + (1 << exponent) / 2


class Histogram:
    """Counts of durations in nanoseconds."""

    __slots__ = ("_counts", "total")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.total = 0

    def record(self, nanoseconds: int, count: int = 1) -> None:
        """Count `count` things that took this long."""
        self._counts[_bucket_of(nanoseconds)] += count
        self.total += count

    def percentile_us(self, percent: float) -> float | None:
        """The duration, in microseconds, within which `percent` of all things stay."""
        if not self.total:
            return None
        rank = self.total * percent / 100
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= rank:
                return _middle_of(bucket) / 1_000
        return None

    def summary_us(self) -> dict[str, float | int | None]:
        percentiles = {f"p{percent:g}": self.percentile_us(percent) for percent in (50, 95, 99, 99.9)}
        return {"count": self.total, **percentiles}
