"""What time does to an open stage: each thing once, nothing at or after the end."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workflows.policies.builders import ANN, BOB, DAN, of, policy, stage
from workflows.policies import shape
from workflows.policies.calendars import Calendar
from workflows.policies.escalation import Schedule, fired, schedule
from workflows.policies.shape import Stage

OPENED = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)  # a Monday
HOUR = 3600
STEP = {"after": 4 * HOUR, "to": {"users": [DAN]}, "count": 1}


def read(**more: Any) -> Stage:
    return shape.read(policy(stage(of(2, ANN, BOB), **more))).stages[0]


def at(hours: float) -> dt.datetime:
    return OPENED + dt.timedelta(hours=hours)


def plan(given: Stage, hours: float, *, deadline: float | None = 24, **more: Any) -> Schedule:
    end = None if deadline is None else at(deadline)
    return schedule(given, opened_at=OPENED, deadline=end, now=at(hours), **more)


def keys(items: Any) -> list[str]:
    return [item.key for item in items]


FULL = read(
    reminders=[{"after": HOUR}, {"before": 2 * HOUR}],
    escalation=[
        STEP | {"repeat": 2, "every": HOUR},
        {"after": 8 * HOUR, **of(1, ANN), "to": {"users": [ANN]}},
    ],
)


@pytest.mark.parametrize(
    ("hours", "done", "due", "following"),
    [
        (0, [], [], "reminder/0/0"),
        (1, [], ["reminder/0/0"], "escalation/0/0"),
        (1, ["reminder/0/0"], [], "escalation/0/0"),
        (4.5, ["reminder/0/0"], ["escalation/0/0"], "escalation/0/1"),
        (
            6, ["reminder/0/0", "escalation/0/0"], ["escalation/0/1", "escalation/0/2"],
            "escalation/1/0",
        ),
        (22, [], [
            "escalation/0/0", "escalation/0/1", "escalation/0/2", "escalation/1/0", "reminder/1/0",
        ], None),
        (24, [], [], None),
        (30, [], [], None),
    ],
)  # fmt: skip
def test_what_is_due_and_what_is_next(
    hours: float, done: list[str], due: list[str], following: str | None
) -> None:
    found = plan(FULL, hours, done=done)
    assert keys(found.due) == due
    assert (found.next.key if found.next else None) == following


def test_next_has_its_time() -> None:
    found = plan(FULL, 2, done=["reminder/0/0"])
    assert found.next is not None
    assert found.next.at == at(4)


def test_of_reminders_that_are_late_only_the_last_is_sent() -> None:
    many = read(reminders=[{"after": HOUR}, {"after": 2 * HOUR}, {"after": 3 * HOUR}])
    found = plan(many, 5)
    assert keys(found.due) == ["reminder/2/0"]
    assert keys(found.skipped) == ["reminder/0/0", "reminder/1/0"]


def test_nothing_is_planned_for_the_deadline_or_later() -> None:
    found = plan(FULL, 0, deadline=4)
    assert keys(found.upcoming) == ["reminder/0/0", "reminder/1/0"]
    assert plan(read(reminders=[{"before": 5 * HOUR}]), 0, deadline=4).upcoming == ()


def test_held_request_has_no_deadline_to_remind_of() -> None:
    found = plan(FULL, 5, deadline=None, done=["reminder/0/0"])
    assert keys(found.due) == ["escalation/0/0", "escalation/0/1"]
    assert keys(found.upcoming) == ["escalation/0/2", "escalation/1/0"]


def test_quiet_hours_delay_reminders_and_nothing_else() -> None:
    night = Calendar(quiet=((12 * 60, 18 * 60),))
    found = plan(FULL, 0, calendars=[night])
    reminder = next(item for item in found.upcoming if item.key == "reminder/0/0")
    step = next(item for item in found.upcoming if item.key == "escalation/0/0")
    assert (reminder.at, reminder.planned, reminder.is_delayed) == (at(6), at(1), True)
    assert (step.at, step.is_delayed) == (at(4), False)


def test_reminder_that_would_come_too_late_is_lost_and_says_so() -> None:
    night = Calendar(quiet=((12 * 60, 20 * 60),))
    found = plan(FULL, 0, deadline=6, calendars=[night])
    assert keys(found.lost) == ["reminder/0/0", "reminder/1/0"]
    assert keys(found.upcoming) == ["escalation/0/0", "escalation/0/1"]


def test_fired_steps_are_those_done() -> None:
    done = ["escalation/1/0", "escalation/0/1", "reminder/0/0"]
    assert fired(FULL, done) == {(0, 1)}


reminders = st.lists(
    st.one_of(
        st.integers(1, 50 * HOUR).map(lambda s: {"after": s}),
        st.integers(1, 50 * HOUR).map(lambda s: {"before": s}),
    ),
    max_size=4,
)
steps = st.lists(
    st.builds(
        lambda after, repeat, every: STEP | {"after": after, "repeat": repeat, "every": every},
        st.integers(1, 50 * HOUR), st.integers(0, 3), st.integers(60, 5 * HOUR),
    ),
    max_size=3,
)  # fmt: skip
sweeps = st.lists(st.integers(0, 60 * HOUR), min_size=1, max_size=25).map(sorted)
quiet = st.lists(
    st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda s: s[0] != s[1]), max_size=1
)


@given(reminders, steps, sweeps, st.none() | st.integers(1, 60 * HOUR), quiet)
def test_each_happens_once_and_in_time(
    reminders: Any, steps: Any, sweeps: list[int], deadline: int | None, quiet: Any
) -> None:
    """Whatever the rhythm of the sweeps: one at most, never early, never from the end on."""
    given = read(reminders=reminders, escalation=steps)
    night = [Calendar(quiet=tuple(quiet))]
    end = None if deadline is None else OPENED + dt.timedelta(seconds=deadline)
    done: list[str] = []
    for seconds in sweeps:
        now = OPENED + dt.timedelta(seconds=seconds)
        found = schedule(given, opened_at=OPENED, deadline=end, now=now, done=done, calendars=night)
        for item in (*found.due, *found.skipped):
            assert item.at <= now
            assert end is None or item.at < end
            assert end is None or now < end
        assert sum(item.kind == "reminder" for item in found.due) <= 1
        assert all(item.at > now for item in found.upcoming)
        done += keys((*found.due, *found.skipped))
        again = schedule(given, opened_at=OPENED, deadline=end, now=now, done=done, calendars=night)
        assert (again.due, again.skipped, again.upcoming) == ((), (), found.upcoming)
    assert len(done) == len(set(done))


@given(reminders, steps, st.integers(1, 60 * HOUR))
def test_everything_planned_happens_or_is_skipped_or_lost(
    reminders: Any, steps: Any, deadline: int
) -> None:
    given = read(reminders=reminders, escalation=steps)
    end = OPENED + dt.timedelta(seconds=deadline)
    whole = schedule(given, opened_at=OPENED, deadline=end, now=OPENED)
    last = schedule(given, opened_at=OPENED, deadline=end, now=end - dt.timedelta(microseconds=1))
    assert set(keys(whole.upcoming)) == set(keys((*last.due, *last.skipped)))
    assert last.upcoming == ()
