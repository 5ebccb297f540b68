"""Quiet and working hours on the wall's clock, also where the clocks are moved."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hitl.lib import pointer
from hitl.lib.errors import InvalidInput
from workflows.policies import calendars
from workflows.policies.calendars import Calendar, next_allowed
from workflows.policies.checks import Checks

BERLIN = "Europe/Berlin"
NIGHT = (22 * 60, 7 * 60)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def read(**data: Any) -> Calendar:
    return calendars.read(data)


@pytest.mark.parametrize(
    ("calendar", "asked", "answered"),
    [
        # Without anything, at all times.
        (read(), "2026-01-01T03:00", "2026-01-01T03:00"),
        # A night across midnight; its end is allowed, its beginning is not.
        (read(zone=BERLIN, quiet=[["22:00", "07:00"]]), "2026-01-15T20:59", "2026-01-15T20:59"),
        (read(zone=BERLIN, quiet=[["22:00", "07:00"]]), "2026-01-15T21:00", "2026-01-16T06:00"),
        (read(zone=BERLIN, quiet=[["22:00", "07:00"]]), "2026-01-16T06:00", "2026-01-16T06:00"),
        # The same wall time is another moment in summer.
        (read(zone=BERLIN, quiet=[["22:00", "07:00"]]), "2026-07-15T21:00", "2026-07-16T05:00"),
        # The nights in which the clocks are moved, in both directions.
        (read(zone=BERLIN, quiet=[["22:00", "07:00"]]), "2026-03-28T23:00", "2026-03-29T05:00"),
        (read(zone=BERLIN, quiet=[["22:00", "07:00"]]), "2026-10-24T23:00", "2026-10-25T06:00"),
        # A time that does not exist that day: quiet until 02:30, and 02:00 becomes 03:00.
        (read(zone=BERLIN, quiet=[["01:00", "02:30"]]), "2026-03-29T00:10", "2026-03-29T01:00"),
        # A time that there is twice: quiet from 02:00 to 02:30, both times.
        (read(zone=BERLIN, quiet=[["02:00", "02:30"]]), "2026-10-25T00:10", "2026-10-25T00:30"),
        (read(zone=BERLIN, quiet=[["02:00", "02:30"]]), "2026-10-25T01:10", "2026-10-25T01:30"),
        # Working hours, a weekend, a holiday.
        (read(work={"monday": [["09:00", "17:00"]]}), "2026-01-05T17:00", "2026-01-12T09:00"),
        (read(work={"monday": [["09:00", "17:00"]]}), "2026-01-05T16:59", "2026-01-05T16:59"),
        (
            read(work={"monday": [["09:00", "24:00"]], "tuesday": [["00:00", "01:00"]]}),
            "2026-01-05T23:59", "2026-01-05T23:59",
        ),
        (read(holidays=["2026-12-25", "2026-12-26"]), "2026-12-25T08:00", "2026-12-27T00:00"),
        # A calendar that never allows anything has nothing to say.
        (read(quiet=[["00:00", "24:00"]]), "2026-01-01T03:00", "2026-01-01T03:00"),
    ],
)  # fmt: skip
def test_next_allowed(calendar: Calendar, asked: str, answered: str) -> None:
    assert calendar.next_allowed(utc(asked)) == utc(answered)


def test_several_calendars_have_to_agree() -> None:
    team = read(work={"friday": [["09:00", "17:00"]], "monday": [["09:00", "17:00"]]})
    person = read(zone=BERLIN, quiet=[["06:00", "12:00"]])
    assert next_allowed(utc("2026-01-08T20:00"), team, person) == utc("2026-01-09T11:00")


def test_calendars_that_never_agree_delay_nothing() -> None:
    mornings = read(quiet=[["12:00", "24:00"]])
    evenings = read(quiet=[["00:00", "12:00"]])
    moment = utc("2026-01-08T20:00")
    assert next_allowed(moment, mornings, evenings) == moment


spans = st.tuples(st.integers(0, 95), st.integers(0, 96)).filter(lambda s: s[0] != s[1])
days = st.dictionaries(st.integers(0, 6), st.lists(spans.map(sorted), min_size=1, max_size=2))
around_changes = st.sampled_from(
    [
        "2026-03-28T12:00",
        "2026-10-24T12:00",
        "2026-03-07T12:00",
        "2026-10-31T12:00",
        "2026-06-01T00:00",
    ]
)


@settings(max_examples=120)
@given(
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    st.lists(spans, max_size=2),
    st.none() | days,
    around_changes,
    st.integers(0, 2 * 24 * 4),
)
def test_agrees_with_a_walk_over_every_quarter(
    zone: str, quiet: Any, work: Any, start: str, quarters: int
) -> None:
    calendar = Calendar(
        zone=zone,
        quiet=tuple((a * 15, b * 15) for a, b in quiet),
        work=None if work is None else {
            day: tuple((a * 15, b * 15) for a, b in given) for day, given in work.items()
        },
    )  # fmt: skip
    moment = utc(start) + dt.timedelta(minutes=15 * quarters)
    found = calendar.next_allowed(moment)
    walked = next(
        (m for n in range(9 * 96) if calendar.allows(m := moment + dt.timedelta(minutes=15 * n))),
        moment,
    )
    assert found == walked


@given(st.integers(0, 365 * 24 * 60))
def test_answer_is_allowed_and_stays_the_same(minutes: int) -> None:
    moment = utc("2026-01-01T00:00") + dt.timedelta(minutes=minutes)
    calendar = read(
        zone=BERLIN, quiet=[["12:00", "13:00"]], holidays=["2026-12-24"],
        work={day: [["09:00", "17:30"]] for day in ("monday", "tuesday", "thursday")},
    )  # fmt: skip
    found = calendar.next_allowed(moment)
    assert found >= moment
    assert calendar.allows(found)
    assert calendar.next_allowed(found) == found


@pytest.mark.parametrize(
    ("data", "place", "said"),
    [
        ({"zone": "Mars/Base"}, "/zone", "Europe/Berlin"),
        ({"zone": "../../etc/passwd"}, "/zone", "Europe/Berlin"),
        ({"zone": 3}, "/zone", "Europe/Berlin"),
        ({"quiet": [["22:00"]]}, "/quiet/0", "two times"),
        ({"quiet": [["25:00", "07:00"]]}, "/quiet/0", "two times"),
        ({"quiet": [["07:00", "07:00"]]}, "/quiet/0", "have to differ"),
        ({"quiet": "night"}, "/quiet", "list"),
        (
            {"work": {"monday": [["22:00", "06:00"]]}},
            pointer.join("", "work", "monday", 0),
            "end on the day",
        ),
        ({"work": {"funday": []}}, pointer.join("", "work", "funday"), "not known"),
        ({"work": {}}, "/work", "at least one day"),
        ({"holidays": ["2026-13-01"]}, "/holidays/0", "2026-12-25"),
        ({"quite": []}, "/quite", "Did you mean quiet?"),
        (["UTC"], "", "object"),
    ],
)
def test_faults_are_named(data: Any, place: str, said: str) -> None:
    checks = Checks()
    calendars.check(data, "", checks)
    with pytest.raises(InvalidInput) as caught:
        checks.stop("calendar")
    assert caught.value.errors[0].pointer == place
    assert said in caught.value.errors[0].message


def test_good_data_has_no_faults() -> None:
    checks = Checks()
    data = {
        "zone": BERLIN, "quiet": [["22:00", "07:00"]], "holidays": ["2026-12-25"],
        "work": {"monday": [["09:00", "12:00"], ["13:00", "24:00"]]},
    }  # fmt: skip
    calendars.check(data, "", checks)
    assert checks.errors == []
    assert calendars.read(data).quiet == (NIGHT,)
