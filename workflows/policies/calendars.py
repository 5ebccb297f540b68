"""Quiet hours and working hours: when a message may disturb somebody. They never move a deadline.

A calendar speaks of the clock on the wall in its zone, so a change to or from summer time moves
nothing that people would notice. As data:

    {"zone": "Europe/Berlin",                       IANA name
     "quiet": [["22:00", "07:00"]],                  every day; may cross midnight
     "work": {"monday": [["09:00", "17:00"]], …},    absent: every day, all day; a day that is not
                                                     named is free; "24:00" is the end of the day
     "holidays": ["2026-12-25"]}
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from hitl.lib import pointer
from workflows.policies.checks import Checks
from workflows.policies.request import WEEKDAYS

# Minutes of the day, from and until; until is not part of it.
Span: TypeAlias = tuple[int, int]
DAY = 24 * 60
MAX_SPANS, MAX_HOLIDAYS = 10, 400
# A calendar that says no for longer than this is taken to have nothing against it.
HORIZON_DAYS = 400
_TIME = re.compile(r"[0-2][0-9]:[0-5][0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True)
class Calendar:
    """When messages are welcome. `work` None: at all hours that are not quiet."""

    zone: str = "UTC"
    quiet: tuple[Span, ...] = ()
    work: Mapping[int, tuple[Span, ...]] | None = None
    holidays: frozenset[dt.date] = frozenset()

    def allows(self, moment: dt.datetime) -> bool:
        """Whether somebody may be disturbed at this (aware) moment."""
        there = moment.astimezone(self._zone)
        minute = there.hour * 60 + there.minute
        if any(_within(span, minute) for span in self.quiet):
            return False
        if there.date() in self.holidays:
            return False
        hours = ((0, DAY),) if self.work is None else self.work.get(there.weekday(), ())
        return any(_within(span, minute) for span in hours)

    def next_allowed(self, moment: dt.datetime) -> dt.datetime:
        """The first moment from this one on, in UTC, that is allowed.

        The moment itself where the calendar never allows any within HORIZON_DAYS.
        """
        moment = moment.astimezone(dt.UTC)
        if self.allows(moment):
            return moment
        for candidate in self._changes(moment):
            if self.allows(candidate):
                return candidate
        return moment

    def _changes(self, after: dt.datetime) -> Iterator[dt.datetime]:
        """Every moment after this one at which the answer may change, in order."""
        first = after.astimezone(self._zone).date()
        for number in range(HORIZON_DAYS):
            day = first + dt.timedelta(days=number)
            moments = {m for minute in self._edges for m in self._at(day, minute)}
            moments.update(_shift_within(day, self._zone))
            yield from sorted(moment for moment in moments if moment > after)

    @cached_property
    def _edges(self) -> frozenset[int]:
        spans = [*self.quiet, *(span for day in (self.work or {}).values() for span in day)]
        return frozenset({0, *(minute % DAY for span in spans for minute in span)})

    def _at(self, day: dt.date, minute: int) -> Iterator[dt.datetime]:
        """The moments at which the wall shows this time: two in the hour that repeats."""
        wall = dt.datetime.combine(day, dt.time(minute // 60, minute % 60), self._zone)
        for fold in (0, 1):
            yield wall.replace(fold=fold).astimezone(dt.UTC)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


def next_allowed(moment: dt.datetime, *calendars: Calendar) -> dt.datetime:
    """The first moment from this one on that every calendar allows.

    The moment itself where they never agree within HORIZON_DAYS.
    """
    latest = moment + dt.timedelta(days=HORIZON_DAYS)
    candidate = moment.astimezone(dt.UTC)
    while candidate < latest:
        moved = candidate
        for calendar in calendars:
            moved = calendar.next_allowed(moved)
        if moved == candidate:
            return candidate if all(each.allows(candidate) for each in calendars) else moment
        candidate = moved
    return moment


def read(data: Mapping[str, Any]) -> Calendar:
    """The calendar of data in the form above, which `check` has found good."""
    work = data.get("work")
    return Calendar(
        zone=str(data.get("zone", "UTC")),
        quiet=_spans(data.get("quiet", ())),
        work=None if work is None else {WEEKDAYS.index(day): _spans(work[day]) for day in work},
        holidays=frozenset(dt.date.fromisoformat(day) for day in data.get("holidays", ())),
    )


def check(value: Any, place: str, checks: Checks) -> None:
    """Note what is wrong with a calendar's data."""
    data = checks.object(value, place, ("zone", "quiet", "work", "holidays"))
    if not _is_zone(data.get("zone", "UTC")):
        checks.fault(pointer.join(place, "zone"), "Write a time zone like Europe/Berlin.")
    _check_spans(data.get("quiet", []), pointer.join(place, "quiet"), checks, over_midnight=True)
    work = checks.object(data.get("work", {}), pointer.join(place, "work"), WEEKDAYS)
    for day in WEEKDAYS:
        _check_spans(work.get(day, []), pointer.join(place, "work", day), checks)
    if "work" in data and not any(work.values()):
        checks.fault(pointer.join(place, "work"), "Name at least one day with hours.")
    here = pointer.join(place, "holidays")
    for number, day in enumerate(checks.list(data.get("holidays", []), here, MAX_HOLIDAYS)):
        if not _is_date(day):
            checks.fault(pointer.join(here, number), "Write a day like 2026-12-25.")


def _check_spans(value: Any, place: str, checks: Checks, *, over_midnight: bool = False) -> None:
    for number, span in enumerate(checks.list(value, place, MAX_SPANS)):
        at = pointer.join(place, number)
        if not isinstance(span, list) or len(span) != 2 or None in map(_minute, span):
            checks.fault(at, "Write two times, like 09:00 and 17:00.")
            continue
        start, end = _minute(span[0]) or 0, _minute(span[1]) or 0
        if start in (end, DAY):
            checks.fault(at, "The two times have to differ, and only the second may be 24:00.")
        elif start > end and not over_midnight:
            checks.fault(at, "Working hours end on the day they begin. Write two days.")


def _spans(value: Any) -> tuple[Span, ...]:
    return tuple((_minute(start) or 0, _minute(end) or 0) for start, end in value)


def _minute(text: Any) -> int | None:
    """The minute of the day that a text like 09:30 names."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    minute = int(text[:2]) * 60 + int(text[3:])
    return minute if minute <= DAY else None


def _is_zone(name: Any) -> bool:
    try:
        return isinstance(name, str) and bool(ZoneInfo(name))
    except (ValueError, LookupError, OSError):
        return False


def _is_date(text: Any) -> bool:
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _within(span: Span, minute: int) -> bool:
    start, end = span
    if start < end:
        return start <= minute < end
    return minute >= start or minute < end


def _shift_within(day: dt.date, zone: ZoneInfo) -> Iterator[dt.datetime]:
    """The moment at which the zone's clocks are moved on this day, if they are."""
    midnight = dt.datetime.combine(day, dt.time(), zone)
    low = int(midnight.timestamp())
    high = int((midnight + dt.timedelta(days=1)).timestamp())
    before = _offset(low, zone)
    if before == _offset(high, zone):
        return
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    yield dt.datetime.fromtimestamp(high, dt.UTC)


def _offset(timestamp: int, zone: ZoneInfo) -> dt.timedelta | None:
    return dt.datetime.fromtimestamp(timestamp, zone).utcoffset()
