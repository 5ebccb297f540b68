"""Tests of hitl/lib/backoff.py."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hitl.lib import backoff

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PLANNED = timedelta(seconds=30)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("attempt", [0, -1])
def test_there_is_no_wait_before_the_first_failure(attempt: int) -> None:
    with pytest.raises(ValueError, match="attempt 1"):
        backoff.delay(attempt, first=5, maximum=60)


@given(st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 1))
def test_a_delay_is_never_negative_nor_past_the_maximum(
    attempt: int, jitter: float, chance: float
) -> None:
    wait = backoff.delay(attempt, first=5, maximum=600, jitter=jitter, rng=lambda: chance)
    assert timedelta(0) <= wait <= timedelta(seconds=600)


def test_delays_double_until_the_maximum() -> None:
    waits = [backoff.delay(n, first=5, maximum=60, rng=lambda: 0.5) for n in range(1, 7)]
    assert [wait.total_seconds() for wait in waits] == [5, 10, 20, 40, 60, 60]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 8), (0.5, 10), (1.0, 12)])
def test_jitter_spreads_by_its_share_to_both_sides(chance: float, seconds: int) -> None:
    wait = backoff.delay(1, first=10, maximum=60, jitter=0.2, rng=lambda: chance)
    assert wait.total_seconds() == seconds


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "soon",
        "-5",
        "1e9",
        "1_000",
        "\u0661\u0662\u0663",
        "5, 10",
        "inf",
        "Mon, 99 Nov 2026 99:99:99 GMT",
        "Mon, 23 Nov 0000 12:00:00 GMT",
        "Mon, 23 Nov 2026 12:00:00 +99999999",
        "x" * 100_000,
        "9" * 100_000,
        "0",
        "29",
        "Mon, 23 Nov 2026 11:00:00 GMT",
    ],
)
def test_unreadable_or_shorter_wishes_change_nothing(header: str | None) -> None:
    assert backoff.honour_retry_after(PLANNED, header, NOW, at_most=HOUR) == PLANNED


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("Mon, 23 Nov 2026 12:10:00 GMT", 600),
        ("Mon, 23 Nov 2026 12:10:00 -0000", 600),
        ("Monday, 23-Nov-26 12:10:00 GMT", 600),
        ("Mon, 23 Nov 2026 14:10:00 +0200", 600),
        ("999999999", 3600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    ],
)
def test_a_longer_wish_is_honoured_within_the_bound(header: str, seconds: int) -> None:
    wait = backoff.honour_retry_after(PLANNED, header, NOW, at_most=HOUR)
    assert wait.total_seconds() == seconds


def test_a_wait_planned_past_the_bound_is_not_shortened() -> None:
    long = timedelta(hours=2)
    assert backoff.honour_retry_after(long, "10", NOW, at_most=HOUR) == long


@given(st.text(max_size=80))
@example("Mon, 23 Nov 2026 12:00:00 GMT")
def test_no_header_can_raise_or_escape_the_bound(header: str) -> None:
    wait = backoff.honour_retry_after(PLANNED, header, NOW, at_most=HOUR)
    assert PLANNED <= wait <= HOUR
