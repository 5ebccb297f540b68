"""Which part of a list a URL asks for: the only parameters there are; all others do nothing.

Values are read one by one and never handed to the database as look-ups.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import urlencode
from uuid import UUID

from django.http import QueryDict

from dashboard import cursors
from dashboard.cursors import Cursor
from events.types import Source
from workflows.models import Risk, Status, Verdict
from workflows.statistics.reading import LONGEST

TEXT_LIMIT = 100
ME = "me"
# Who decides without being anybody, by the door their verdicts come through.
NOBODY = {"rule": Source.RULE, "silence": Source.TIMEOUT_JOB}


@dataclass(frozen=True)
class Filters:
    """What both lists can be narrowed by. `after` is where the page begins, not a filter."""

    q: str = ""
    team: str = ""
    agent: UUID | None = None
    type: str = ""
    after: Cursor | None = None

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        """The filters of a query string; what does not make sense counts as absent."""
        return cls(**cls._common(query))

    @staticmethod
    def _common(query: QueryDict) -> dict[str, Any]:
        return {
            "q": _text(query, "q"),
            "team": _text(query, "team"),
            "agent": _uuid(_text(query, "agent")),
            "type": _text(query, "type"),
            "after": cursors.load(query.get("after", "")),
        }

    def query(self, **changes: object) -> str:
        """The query string of this list with some parameters changed; the page starts anew."""
        values = {**asdict(self), "after": "", **changes}
        chosen = {name: str(value) for name, value in values.items() if value}
        return f"?{urlencode(chosen)}" if chosen else "."

    def next_page(self, after: Cursor) -> str:
        """The query string of the page that begins behind `after`."""
        return self.query(after=after)

    def first_page(self) -> str:
        """The query string of this list from its beginning."""
        return self.query()

    @property
    def narrowing(self) -> int:
        """How many filters are set."""
        values = {**asdict(self), "after": None, "show": None}
        return sum(1 for value in values.values() if value)


@dataclass(frozen=True)
class InboxFilters(Filters):
    """The inbox: what asks me, unless `show=all` asks for everything that waits in my teams."""

    risk: str = ""
    show: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        return cls(
            **cls._common(query),
            risk=_one_of(query, "risk", Risk.values),
            show=_one_of(query, "show", ("all",)),
        )


@dataclass(frozen=True)
class HistoryFilters(Filters):
    """The history. `since` and `until` are days (UTC), both included.

    `by` is who had the last word: somebody's id, `me`, or one of NOBODY.
    """

    status: str = ""
    verdict: str = ""
    by: str = ""
    since: dt.date | None = None
    until: dt.date | None = None

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        return cls(
            **cls._common(query),
            status=_one_of(query, "status", Status.values),
            verdict=_one_of(query, "verdict", Verdict.values),
            by=_decider(_text(query, "by")),
            since=_day(query, "since"),
            until=_day(query, "until"),
        )


@dataclass(frozen=True)
class InsightFilters(Filters):
    """The numbers: the last so many days, or from one day (UTC) to another, both included."""

    days: str = ""
    since: dt.date | None = None
    until: dt.date | None = None

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        return cls(
            **cls._common(query),
            days=_one_of(query, "days", ("7", "30", "90")),
            since=_day(query, "since"),
            until=_day(query, "until"),
        )

    @property
    def is_custom(self) -> bool:
        """Whether days were chosen rather than a number of them."""
        return bool(self.since or self.until)

    def period(self, today: dt.date) -> tuple[dt.date, dt.date]:
        """The first and last day asked for, never more than a year apart."""
        last = self.until or (max(today, self.since) if self.since else today)
        before = LONGEST - 1 if self.since else int(self.days or "30") - 1
        earliest = max(dt.date.min.toordinal(), last.toordinal() - before)
        first = max(self.since or dt.date.min, dt.date.fromordinal(earliest))
        return min(first, last), last


def _text(query: QueryDict, name: str) -> str:
    return query.get(name, "").replace("\0", "").strip()[:TEXT_LIMIT]


def _one_of(query: QueryDict, name: str, known: Collection[str]) -> str:
    value = query.get(name, "")
    return value if value in known else ""


def _decider(text: str) -> str:
    return text if text == ME or text in NOBODY else str(_uuid(text) or "")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _day(query: QueryDict, name: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(query.get(name, ""))
    except ValueError:
        return None
