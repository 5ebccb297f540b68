"""Guessing: what is free, what waits, what is forgotten, also when it all happens at once."""

import datetime as dt

import pytest
import time_machine

from hitl.accounts import tries
from hitl.accounts.models import Tries
from hitl.accounts.tries import TooManyTries
from tests.racing import race

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)

pytestmark = pytest.mark.django_db


def allowed(times: int) -> int:
    """How many of so many tries in a row are judged."""
    judged = 0
    for _ in range(times):
        try:
            tries.begin("code", "ann")
            judged += 1
        except TooManyTries:
            pass
    return judged


def test_five_are_free() -> None:
    assert allowed(20) == 5


def test_each_later_one_doubles_the_wait() -> None:
    waits = []
    with time_machine.travel(NOON, tick=False) as clock:
        allowed(5)
        for _ in range(8):
            with pytest.raises(TooManyTries) as caught:
                tries.begin("code", "ann")
            waits.append(caught.value.wait)
            clock.shift(caught.value.wait)
            tries.begin("code", "ann")
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


@pytest.mark.parametrize(
    ("wait", "words"), [(1, "1 second"), (30, "30 seconds"), (91, "2 minutes"), (900, "15 minutes")]
)
def test_the_wait_is_told(wait: int, words: str) -> None:
    error = TooManyTries(dt.timedelta(seconds=wait))
    assert str(error) == f"Too many attempts. Try again in {words}."


def test_waiting_is_not_counted_as_a_try() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        allowed(50)
        clock.shift(31)
        tries.begin("code", "ann")


def test_a_right_one_forgets_the_wrong_ones() -> None:
    allowed(4)
    tries.forgive("code", "ann")
    assert allowed(20) == 5


def test_a_quiet_day_forgets_them_too() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        allowed(5)
        clock.shift(dt.timedelta(days=1, seconds=1))
        assert allowed(20) == 5


def test_others_are_not_held_up() -> None:
    allowed(20)
    tries.begin("code", "bob")
    tries.begin("password", "ann")


def test_old_rows_are_cleared_away_and_nobody_stands_in_them() -> None:
    with time_machine.travel(NOON, tick=False) as clock:
        tries.begin("login", "someone@example.com\n192.0.2.1")
        clock.shift(dt.timedelta(days=2))
        tries.begin("login", "other@example.com\n192.0.2.1")
    keys = list(Tries.objects.values_list("key", flat=True))
    assert len(keys) == 1
    assert "example" not in keys[0]


@pytest.mark.django_db(transaction=True)
def test_many_at_once_are_not_more() -> None:
    judged = [result for result in race(*[lambda: allowed(3)] * 4) if isinstance(result, int)]
    assert sum(judged) == 5
