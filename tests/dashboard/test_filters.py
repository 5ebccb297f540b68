"""Only the listed parameters filter, and only with values that make sense."""

import datetime as dt
from uuid import UUID

import pytest
from django.http import QueryDict

from dashboard.filters import HistoryFilters, InboxFilters

AGENT = UUID("0192aaaa-0000-7000-8000-000000000001")


def test_known_values_are_taken() -> None:
    query = f"show=all&q= refund &team=payments&agent={AGENT}&type=payments.refund&risk=high"
    filters = InboxFilters.read(QueryDict(query))
    assert (filters.show, filters.q, filters.team) == ("all", "refund", "payments")
    assert (filters.agent, filters.type, filters.risk) == (AGENT, "payments.refund", "high")
    assert filters.narrowing == 5


@pytest.mark.parametrize(
    "query",
    [
        "risk=extreme", "agent=me", "show=everything", "after=nonsense",
        "user__password__startswith=a", "_connector=OR", "q=%00", "team=", "q=%20",
    ],
)  # fmt: skip
def test_what_makes_no_sense_counts_as_absent(query: str) -> None:
    assert InboxFilters.read(QueryDict(query)) == InboxFilters()


def test_a_long_search_is_cut() -> None:
    assert len(InboxFilters.read(QueryDict("q=" + "a" * 5000)).q) == 100


def test_days_are_read_and_written() -> None:
    filters = HistoryFilters.read(QueryDict("since=2026-11-01&until=2026-11-30&status=FAILED"))
    assert filters.since == dt.date(2026, 11, 1)
    assert filters.query() == "?status=FAILED&since=2026-11-01&until=2026-11-30"


@pytest.mark.parametrize("day", ["31.12.2026", "2026-13-01", "", "0000-00-00"])
def test_a_day_that_is_none_counts_as_absent(day: str) -> None:
    assert HistoryFilters.read(QueryDict(f"since={day}")).since is None


def test_changing_a_filter_starts_the_list_anew() -> None:
    filters = InboxFilters.read(QueryDict("q=x&after=1-0-" + AGENT.hex))
    assert filters.after is not None
    assert filters.query(risk="low") == "?q=x&risk=low"


def test_without_filters_the_address_is_the_page_itself() -> None:
    assert InboxFilters().query() == "."
