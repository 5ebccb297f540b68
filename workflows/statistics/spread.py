"""How durations spread: counts in buckets that grow with the duration, and what follows from them.

The bounds are part of the tables: each bucket is a column. To change them takes a migration and a
new count of everything (`manage.py count_again`).
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Upper bounds in seconds, exclusive; what takes longer than the last falls into one bucket more.
BOUNDS = (10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800)
BUCKETS = len(BOUNDS) + 1


@dataclass(frozen=True)
class Bucket:
    """Durations from `low` up to but not including `high` seconds; None: without end."""

    low: int
    high: int | None
    count: int


@dataclass(frozen=True)
class Quantile:
    """A share of the durations lies below `seconds`: an estimate, certainly within the bucket."""

    seconds: int
    low: int
    high: int | None


def bucket_of(seconds: float) -> int:
    """The number of the bucket a duration falls into."""
    return bisect_right(BOUNDS, seconds)


def between(start: dt.datetime, end: dt.datetime) -> float:
    """Seconds, never less than none: the two may have been read from different clocks."""
    return max(0.0, (end - start).total_seconds())


@dataclass(frozen=True)
class Spread:
    """Some durations: their sum in seconds, and how many fell into each bucket."""

    seconds: int
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def mean(self) -> int | None:
        """Exact, to the second; None where there is nothing."""
        return round(self.seconds / self.count) if self.count else None

    @property
    def buckets(self) -> list[Bucket]:
        highs = (*BOUNDS, None)
        return [
            Bucket(low, high, count)
            for low, high, count in zip((0, *BOUNDS), highs, self.counts, strict=True)
        ]

    def quantile(self, share: float) -> Quantile | None:
        """Where `share` of the durations have passed, taken as even within a bucket."""
        wanted, passed = share * self.count, 0
        for bucket in self.buckets:
            if bucket.count and passed + bucket.count >= wanted:
                inside = (wanted - passed) / bucket.count
                width = (bucket.high - bucket.low) if bucket.high is not None else 0
                return Quantile(round(bucket.low + inside * width), bucket.low, bucket.high)
            passed += bucket.count
        return None

    def plus(self, other: "Spread") -> "Spread":
        pairs = zip(self.counts, other.counts, strict=True)
        return Spread(self.seconds + other.seconds, tuple(one + two for one, two in pairs))


NONE = Spread(0, (0,) * BUCKETS)


def columns(prefix: str) -> list[str]:
    """The names of the buckets' columns."""
    return [f"{prefix}_{number}" for number in range(BUCKETS)]


def read(prefix: str, row: Mapping[str, Any]) -> Spread:
    """The spread that a row (column → number) holds under `prefix`."""
    return Spread(row[f"{prefix}_seconds"], tuple(row[name] for name in columns(prefix)))
